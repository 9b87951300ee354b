//go:build linux

package input

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracker"
)

// hang mounts a file system over a directory. Every use of it hangs until the test
// ends.
func hang(t *testing.T, dir string) {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("without a file system that hangs: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, fuse.Close()) }) // whatever hangs then fails
	options := fmt.Sprintf("fd=%v,rootmode=40000,user_id=0,group_id=0", fuse.Fd())
	if err := syscall.Mount("hangs", dir, "fuse", 0, options); err != nil {
		t.Skipf("without a file system that hangs, which only root can mount: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
}

func TestFileThatHangsKeepsNoTrackerOpen(t *testing.T) {
	known := func(t *testing.T, in *fileInput) dirwatch.File {
		t.Helper()
		f, err := in.dir.Stat("a.json")
		require.NoError(t, err)
		return f
	}
	for name, use := range map[string]func(in *fileInput, f dirwatch.File){
		"a look at a path": func(in *fileInput, f dirwatch.File) { in.checkPath(in.ctx, f.Path, time.Now()) },
		"a look at all":    func(in *fileInput, _ dirwatch.File) { in.tick(in.ctx, time.Now()) },
		"before it is read": func(in *fileInput, f dirwatch.File) {
			in.read(in.ctx, f, 0)
		},
		"its content is compared": func(in *fileInput, f dirwatch.File) {
			in.tracker.Mark(f.Path, tracker.Record{Version: f.Version})
			in.knows(in.ctx, f)
		},
		"it is deleted": func(in *fileInput, f dirwatch.File) { in.handOver(&fileDelivery{file: f}) },
		"it gets its name back": func(in *fileInput, _ dirwatch.File) {
			in.handOver(&fileDelivery{file: dirwatch.File{Path: ".a.json.mfn-taken"}, hidden: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			dir := t.TempDir()
			put(t, dir, "a.json", "x")
			in := openFile(t, fmt.Sprintf("directory: %q\nauto_delete: true\n", dir))
			f := known(t, in)
			hang(t, dir)
			began, ended := make(chan struct{}), make(chan struct{})
			in.readMu <- struct{}{}
			go func() {
				defer close(ended)
				defer func() { <-in.readMu }()
				close(began)
				use(in, f)
			}()
			<-began
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_ = in.Close(ctx) // which may tell that something hangs
			<-ended
			require.NoError(t, ctx.Err())
			tr, err := tracker.Open(in.trackerPath, dir, service.MockResources().Logger())
			require.NoError(t, err, "the tracker is closed")
			require.NoError(t, tr.Close())
		})
	}
}

func TestFileThatHangsIsToldOf(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	put(t, dir, "sub/a.json", "1")
	r := runFile(t, dir, "timeout: 500ms\npattern: '**/*.json'\nmin_age: 0s\npoll_interval: 1h\n", func(string) error {
		hang(t, sub) // before the file is remembered, for which it is compared
		return nil
	})
	await.Until(t, func() bool {
		return len(linesWith(r.Logs, "level=ERROR", `operation="file remember"`, "path="+filepath.Join(sub, "a.json"), "timed out after 500ms")) == 1
	}, "word of it")
	r.Stop(t)
}

func TestFileDirectoryThatHangsIsToldOf(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, "timeout: 100ms\n"+fileAtOnce, nil)
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "Directory is watched") }, "the first look")
	hang(t, dir)
	await.Until(t, func() bool {
		return len(linesWith(r.Logs, "level=WARN", "Directory is still being looked at", "path="+dir, "takes longer than 100ms")) > 0
	}, "word of it")
	assert.Equal(t, status.Error, streamtest.Report(t, fileType).Status)
	r.Stop(t)
}

func TestFileThatHangsIsLeftWhenNobodyReadsAnyMore(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	put(t, dir, "a.json", "x")
	in := openFile(t, fmt.Sprintf("directory: %q\ntimeout: 0s\n", dir))
	defer func() { _ = in.Close(t.Context()) }() // which may tell that something hangs
	f, err := in.dir.Stat("a.json")
	require.NoError(t, err)
	hang(t, dir)
	r := &fileReading{in: in, source: newFileSource(in, f), delivery: &fileDelivery{file: f}}
	r.text = newMessageReader(r.source, in.maxBytes)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.open(ctx), context.Canceled)
}
