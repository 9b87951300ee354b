package logs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
)

func newDigest(out *bytes.Buffer, full int) *Digest {
	log := service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(out, nil)))
	return NewDigest(log, (*service.Logger).Warn, full, DigestWords{More: "More failed", Over: "All is well again"})
}

func TestFailuresThatRepeatAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := newDigest(&out, 2)
		full := 0
		for i := range 100 {
			if d.Failed(fmt.Errorf("refused by port %v", i), func() []string { return []string{fmt.Sprintf("m%v", i)} }) {
				full++
			}
		}
		assert.Equal(t, 2, full)
		assert.True(t, d.Failing())
		assert.Empty(t, out.String())
		time.Sleep(firstSummary - time.Second)
		assert.False(t, d.Failed(errors.New("refused by port 7"), nil))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
		for _, want := range []string{`msg="More failed"`, "failures=99", `error="refused by port 7"`, "m2, m3, m4", "and"} {
			assert.Contains(t, out.String(), want)
		}
		out.Reset()
		d.Succeeded() // too early to say that it is over
		assert.Empty(t, out.String())
		time.Sleep(quietPeriod)
		d.Succeeded()
		assert.Contains(t, out.String(), "All is well again")
		assert.False(t, d.Failing())
	})
}

func TestAnErrorThatIsNewIsToldInFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := newDigest(&out, 1)
		assert.True(t, d.Failed(errors.New("refused"), nil))
		assert.False(t, d.Failed(errors.New("refused"), nil))
		assert.True(t, d.Failed(errors.New("timed out"), nil))
		d.Close()
		assert.Contains(t, out.String(), "failures=1")
	})
}

func TestFewFailuresNeedNoSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := newDigest(&out, 3)
		assert.True(t, d.Failed(errors.New("refused"), nil))
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.False(t, d.Failing())
		d.Close()
		assert.Empty(t, out.String())
	})
}
