package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fileFault runs a stream from files to files, and strikes it or its output.
func fileFault(times int, limits []string, strike func(ctx context.Context, p *program, out string) error) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
		in, err := subdir(dir, "in")
		if err != nil {
			return err
		}
		out, err := subdir(dir, "out")
		if err != nil {
			return err
		}
		l := newLedger()
		return disturbance{
			stream: fileInput(in) + fileOutput(out), limits: limits, ledger: l,
			feed: feedFiles(in, l), collect: resultDirectory(out, l), times: times,
			strike: func(ctx context.Context, p *program) error { return strike(ctx, p, out) },
		}.run(ctx, s, dir, r)
	}
}

// onTmpfs gives the output a file system of its own, of a few hundred kilobytes.
func onTmpfs(times int, strike func(ctx context.Context, out string) error) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) (err error) {
		in, err := subdir(dir, "in")
		if err != nil {
			return err
		}
		out, err := subdir(dir, "out")
		if err != nil {
			return err
		}
		if err := syscall.Mount("tmpfs", out, "tmpfs", 0, "size=8m"); err != nil {
			return fmt.Errorf("%w: %w", errNotHere, err)
		}
		defer func() {
			if unmountErr := syscall.Unmount(out, syscall.MNT_DETACH); err == nil {
				err = unmountErr
			}
		}()
		l := newLedger()
		return disturbance{
			stream: fileInput(in) + fileOutput(out), ledger: l,
			feed: feedFiles(in, l), collect: resultDirectory(out, l), times: times,
			strike: func(ctx context.Context, _ *program) error { return strike(ctx, out) },
		}.run(ctx, s, dir, r)
	}
}

// errNotHere says that a fault cannot be brought about on this machine.
var errNotHere = errors.New("not possible here")

func diskScenarios() []scenario {
	return []scenario{
		{name: "output's disk full", run: onTmpfs(2, func(ctx context.Context, out string) error {
			filler := filepath.Join(out, ".filler")
			if err := fill(filler); err != nil {
				return err
			}
			pause(ctx, 4*time.Second)
			return os.Remove(filler)
		})},
		{name: "output's disk read-only", run: onTmpfs(2, func(ctx context.Context, out string) error {
			if err := syscall.Mount("", out, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				return err
			}
			pause(ctx, 3*time.Second)
			return syscall.Mount("", out, "", syscall.MS_REMOUNT, "size=8m")
		})},
		{name: "output's directory removed", short: true, run: fileFault(2, nil, func(ctx context.Context, _ *program, out string) error {
			if err := os.Rename(out, out+".away"); err != nil {
				return err
			}
			pause(ctx, time.Second)
			return restore(out)
		})},
		{name: "too many open files", run: fileFault(1, []string{"ulimit -n 20"}, func(ctx context.Context, p *program, _ string) error {
			pause(ctx, 5*time.Second)
			if !strings.Contains(p.log.String(), "too many open files") {
				return errors.New("there were never too many open files")
			}
			return nil
		})},
		{name: "tracker damaged", short: true, run: damagedTracker},
	}
}

// fill writes to a file until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				err = nil
			}
			return errors.Join(err, f.Close())
		}
	}
}

// restore brings back what was renamed away, next to what has been made meanwhile.
func restore(out string) error {
	away := out + ".away"
	entries, err := os.ReadDir(away)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(away, e.Name()), filepath.Join(out, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(away)
}

// damagedTracker overwrites the file that remembers what is done, between lives
// of the program. It may then repeat what it has done, and must say so; it must
// lose nothing.
func damagedTracker(ctx context.Context, s *suite, dir string, r *row) error {
	in, err := subdir(dir, "in")
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "out")
	tracker := filepath.Join(dir, "tracker.db")
	stream := strings.Replace(fileInput(in), "auto_delete: true", "tracker: "+tracker, 1) + fileOutput(out)
	l := newLedger()
	feed, collect := feedFiles(in, l), resultDirectory(out, l)
	times := 5
	if s.short {
		times = 2
	}
	for k := range times {
		if err := feed(ctx, k*fedBefore, fedBefore); err != nil {
			return err
		}
		p, err := s.start(ctx, dir, stream)
		if err != nil {
			return err
		}
		started := time.Now()
		err = await(ctx, slowRecovery, "every message to be answered", func() bool { return collect() == nil && l.complete() })
		if err == nil {
			err = p.stop(30 * time.Second)
		}
		p.kill()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
		}
		if k > 0 && !strings.Contains(p.log.String(), "tracker") {
			l.complain("nothing was said of the damaged tracker")
		}
		r.runs++
		if first, ok := l.firstAfter(started); ok {
			r.recoveries = append(r.recoveries, first.Sub(started))
		}
		if err := os.WriteFile(tracker, []byte(strings.Repeat("not a database ", 500+k)), 0o600); err != nil {
			return err
		}
	}
	r.balance = l.result()
	return nil
}
