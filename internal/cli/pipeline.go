package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// stage is a processor and its settings.
type stage struct {
	processor string
	settings  map[string]any
}

// through sends a message through a processor, as a stream does.
func through(ctx context.Context, by stage, message []byte) (_ []byte, err error) {
	config, err := json.Marshal(map[string]any{"label": "stage", by.processor: by.settings})
	if err != nil {
		return nil, err
	}
	build := service.NewResourceBuilder()
	build.SetLogger(slog.New(slog.NewTextHandler(io.Discard, nil))) // errors are returned
	if err := build.AddProcessorYAML(string(config)); err != nil {
		return nil, fmt.Errorf("%v: %w", by.processor, err)
	}
	resources, closeAll, err := build.Build()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", by.processor, err)
	}
	defer func() {
		if closeErr := closeAll(context.WithoutCancel(ctx)); err == nil {
			err = closeErr
		}
	}()

	var batch service.MessageBatch
	accessErr := resources.AccessProcessor(ctx, "stage", func(p *service.ResourceProcessor) {
		batch, err = p.Process(ctx, service.NewMessage(message))
	})
	switch {
	case accessErr != nil:
		return nil, accessErr
	case err != nil:
		return nil, err
	case len(batch) != 1:
		return nil, errors.New(by.processor + " returned no message")
	case batch[0].GetError() != nil:
		return nil, batch[0].GetError()
	}
	return batch[0].AsBytes()
}
