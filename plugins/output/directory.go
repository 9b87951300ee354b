package output

import (
	"context"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/filewriter"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// directory is what outputs share that write to a directory.
type directory struct {
	path    string
	check   func() error // whether the output can write there
	timeout time.Duration

	log     *service.Logger
	status  *status.Component
	retrier *retry.Retrier
	sweeper *filewriter.Sweeper
}

// newDirectory returns the directory of an output of the given type.
func newDirectory(conf *service.ParsedConfig, res *service.Resources, typ string, dir filewriter.Dir, check func() error) (*directory, error) {
	policy, err := retry.ParsePolicy(conf)
	if err != nil {
		return nil, err
	}
	d := &directory{path: dir.Path, check: check, timeout: policy.Timeout, log: res.Logger()}
	d.sweeper = filewriter.NewSweeper(dir)
	d.status = status.New(res, typ, status.Publisher)
	d.retrier = retry.New(policy, res.Logger(), d.status)
	return d, nil
}

// Connect checks the directory, if it is there, so that what is wrong is known before
// there is a message. Each write tries again.
func (d *directory) Connect(ctx context.Context) error {
	if d.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	check := d.check
	_, err := files.Abandonable(ctx, func() (struct{}, error) { return struct{}{}, check() }, nil)
	if err == nil {
		d.status.Connected()
		return nil
	}
	err = files.Explain(d.path, err)
	d.status.Failed(err)
	d.log.With("path", d.path, "error", err.Error()).Warn("Directory cannot be opened; each write tries again")
	return nil
}

// Close ends the output.
func (d *directory) Close(ctx context.Context) error {
	err := d.sweeper.Close(ctx)
	d.status.Close()
	return err
}
