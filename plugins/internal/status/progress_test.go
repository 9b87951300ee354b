package status

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := component(t, Connector)
		assert.Nil(t, reportOf(t, c.Type()).Progress, "a source without an end has none")

		c.Resume(40)
		c.Expect("points", 100)
		assert.Equal(t, &ProgressReport{Unit: "points", Done: 40, Total: 100}, reportOf(t, c.Type()).Progress)

		time.Sleep(10 * time.Second)
		c.Progressed(20)
		want := ProgressReport{Unit: "points", Done: 60, Total: 100, RatePerSecond: 2, RemainingSeconds: new(20.0)}
		assert.Equal(t, &want, reportOf(t, c.Type()).Progress)
		assert.Contains(t, Progress(), want)

		c.Expect("points", 140)
		assert.Equal(t, 40.0, *reportOf(t, c.Type()).Progress.RemainingSeconds, "there is more than was known")
	})
}
