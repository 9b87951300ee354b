//go:build amd64 || arm64

package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// generatorOffsets returns the constants of the block of internal/kernelgen that
// begins with first, in order. Its step is the factor of iota.
func generatorOffsets(t *testing.T, first string) map[string]uintptr {
	t.Helper()
	paths, err := filepath.Glob("internal/kernelgen/*.go")
	require.NoError(t, err)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			block, ok := d.(*ast.GenDecl)
			if !ok || block.Tok != token.CONST || block.Specs[0].(*ast.ValueSpec).Names[0].Name != first {
				continue
			}
			step, err := strconv.Atoi(block.Specs[0].(*ast.ValueSpec).Values[0].(*ast.BinaryExpr).X.(*ast.BasicLit).Value)
			require.NoError(t, err)
			offsets := map[string]uintptr{}
			for k, s := range block.Specs {
				offsets[s.(*ast.ValueSpec).Names[0].Name] = uintptr(k * step)
			}
			return offsets
		}
	}
	require.Fail(t, "no block of constants begins with "+first)
	return nil
}

// What the assembly reads is where the generator believes it to be.
func TestOffsetsOfTheAssembly(t *testing.T) {
	var (
		k kernelArgs
		b broadcast
		r reactionArgs
		s reactionBroadcast
		c combineArgs
	)
	for _, row := range []struct {
		name, first string
		want        map[string]uintptr
	}{
		{"kernelArgs", "argVSrc", map[string]uintptr{
			"argVSrc": unsafe.Offsetof(k.vSrc), "argASrc": unsafe.Offsetof(k.aSrc), "argISrc": unsafe.Offsetof(k.iSrc),
			"argVDst": unsafe.Offsetof(k.vDst), "argADst": unsafe.Offsetof(k.aDst), "argIDst": unsafe.Offsetof(k.iDst),
			"argNoise": unsafe.Offsetof(k.noise), "argOffset": unsafe.Offsetof(k.offset), "argStride": unsafe.Offsetof(k.stride),
			"argRows": unsafe.Offsetof(k.rows), "argVectors": unsafe.Offsetof(k.vectors), "argTail": unsafe.Offsetof(k.tail),
			"argTuring": unsafe.Offsetof(k.turing), "argSums": unsafe.Offsetof(k.sums), "argSumsStride": unsafe.Offsetof(k.sumsStride),
			"argSumsAt": unsafe.Offsetof(k.sumsAt), "argActivations": unsafe.Offsetof(k.activations), "argClamps": unsafe.Offsetof(k.clamps),
			"argNoiseRow": unsafe.Offsetof(k.noiseRow), "argConstants": unsafe.Offsetof(k.constants),
			"argLeftFrom": unsafe.Offsetof(k.leftFrom), "argLeftTo": unsafe.Offsetof(k.leftTo),
			"argRightFrom": unsafe.Offsetof(k.rightFrom), "argRightTo": unsafe.Offsetof(k.rightTo),
		}},
		{"broadcast", "constAlpha", map[string]uintptr{
			"constAlpha": unsafe.Offsetof(b.alpha), "constFour": unsafe.Offsetof(b.four), "constDA": unsafe.Offsetof(b.dA),
			"constRA": unsafe.Offsetof(b.rA), "constDI": unsafe.Offsetof(b.dI), "constRI": unsafe.Offsetof(b.rI),
			"constOne": unsafe.Offsetof(b.one), "constThreshold": unsafe.Offsetof(b.threshold), "constLift": unsafe.Offsetof(b.lift),
			"constMin": unsafe.Offsetof(b.vMin), "constMax": unsafe.Offsetof(b.vMax), "constAbs": unsafe.Offsetof(b.abs),
			"constTail": unsafe.Offsetof(b.tail),
		}},
		{"reactionArgs", "reactUSrc", map[string]uintptr{
			"reactUSrc": unsafe.Offsetof(r.uSrc), "reactVSrc": unsafe.Offsetof(r.vSrc), "reactUDst": unsafe.Offsetof(r.uDst),
			"reactVDst": unsafe.Offsetof(r.vDst), "reactUBase": unsafe.Offsetof(r.uBase), "reactVBase": unsafe.Offsetof(r.vBase),
			"reactOld": unsafe.Offsetof(r.old), "reactOffset": unsafe.Offsetof(r.offset), "reactStride": unsafe.Offsetof(r.stride),
			"reactRows": unsafe.Offsetof(r.rows), "reactVectors": unsafe.Offsetof(r.vectors), "reactTail": unsafe.Offsetof(r.tail),
			"reactSummed": unsafe.Offsetof(r.summed), "reactModel": unsafe.Offsetof(r.model), "reactSums": unsafe.Offsetof(r.sums),
			"reactSumsStride": unsafe.Offsetof(r.sumsStride), "reactSumsAt": unsafe.Offsetof(r.sumsAt), "reactConstants": unsafe.Offsetof(r.constants),
			"reactLeftFrom": unsafe.Offsetof(r.leftFrom), "reactLeftTo": unsafe.Offsetof(r.leftTo),
			"reactRightFrom": unsafe.Offsetof(r.rightFrom), "reactRightTo": unsafe.Offsetof(r.rightTo),
		}},
		{"reactionBroadcast", "reactFour", map[string]uintptr{
			"reactFour": unsafe.Offsetof(s.four), "reactOne": unsafe.Offsetof(s.one), "reactDu": unsafe.Offsetof(s.du),
			"reactDv": unsafe.Offsetof(s.dv), "reactH": unsafe.Offsetof(s.h), "reactP": unsafe.Offsetof(s.p),
		}},
		{"combineArgs", "combineY1", map[string]uintptr{
			"combineY1": unsafe.Offsetof(c.y1), "combineY": unsafe.Offsetof(c.y), "combineY2": unsafe.Offsetof(c.y2),
			"combineY3": unsafe.Offsetof(c.y3), "combineVectors": unsafe.Offsetof(c.vectors), "combineThird": unsafe.Offsetof(c.third),
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, generatorOffsets(t, row.first))
		})
	}
	t.Run("behind the constants of the kinetics", func(t *testing.T) {
		assert.Equal(t, unsafe.Offsetof(s.p)+64*maxConstants, unsafe.Offsetof(s.abs))
		assert.Equal(t, unsafe.Offsetof(s.abs)+64, unsafe.Offsetof(s.tail))
	})
	t.Run("laneSums", func(t *testing.T) {
		var sums laneSums
		assert.Equal(t, []uintptr{0, 64, 128, 192, 256}, []uintptr{
			unsafe.Offsetof(sums.absDiff), unsafe.Offsetof(sums.sqDiff), unsafe.Offsetof(sums.energy), unsafe.Offsetof(sums.maxDiff), unsafe.Sizeof(sums),
		})
	})
}
