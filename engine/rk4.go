package engine

import "context"

// rk4 takes one step of the classical Runge-Kutta method by four steps of the
// kernel, each over the whole grid. With y₁ = y + h/2·k(y), y₂ = y + h/2·k(y₁) and
// y₃ = y + h·k(y₂), the new state y + h/6·(k(y) + 2·k(y₁) + 2·k(y₂) + k(y₃)) is
//
//	y + ((y₁−y) + 2·(y₂−y) + (y₃−y))/3 + h/6·k(y₃).
//
// y is in planes[0] and the new state goes to planes[1].
func (m *modelRun) rk4(ctx context.Context) {
	x := &m.pass
	y, next := x.planes[0], x.planes[1]
	y1, y2, y3 := &m.stages[0], &m.stages[1], &m.stages[2]
	h := m.reaction.h

	stage := func(from, to, base *planes, h float64) {
		x.planes[0], x.planes[1] = *from, *to
		x.base, x.old = base, &y
		m.reaction.setStep(h)
		x.run(ctx)
	}
	stage(&y, y1, &y, h/2)
	stage(y1, y2, &y, h/2)
	stage(y2, y3, &y, h)
	for k := range species {
		m.combine(y1.cells[k], y.cells[k], y2.cells[k], y3.cells[k])
	}
	stage(y3, &next, y1, h/6)

	x.base, x.old = nil, nil
	m.reaction.setStep(h)
	x.planes = [2]planes{y, next}
}

const third = 1.0 / 3

// combine sets y₁ to y + ((y₁−y) + 2·(y₂−y) + (y₃−y))/3.
func combine(y1, y, y2, y3 []float64) {
	y, y2, y3 = y[:len(y1)], y2[:len(y1)], y3[:len(y1)]
	for i, a := range y1 {
		b := y[i]
		y1[i] = b + float64((((a-b)+float64(2*(y2[i]-b)))+(y3[i]-b))*third)
	}
}
