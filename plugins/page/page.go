// Package page serves a web page that shows how the streams of this process fare.
// This module's program alone imports it: nothing in the components needs it.
package page

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/gallery"
)

// Name is the name of the field.
const Name = "page"

var (
	enabled = fields.Bool("enabled")
	address = fields.Address("address")
)

// Field is the field of a stream's configuration that asks for the page.
func Field() *service.ConfigField {
	return service.NewObjectField(Name,
		enabled.Field().Default(false).
			Description("Whether to serve the page."),
		address.Field().Default("127.0.0.1:4196").
			Description("Where to serve it. Whoever reaches it sees ids, errors and pictures of the simulations, and can change nothing. It asks for no password: to open it beyond this machine, put a proxy before it that does."),
	).Description("A web page that shows how the streams of this process fare: what flows, what fails and why, how far a source is, and the latest fields as pictures.").
		Optional()
}

// Start serves the page if conf, the whole configuration, asks for it. It returns
// nil if it does not.
func Start(conf *service.ParsedConfig, version string, log *service.Logger) (*Server, error) {
	conf = conf.Namespace(Name)
	var on bool
	var at string
	if err := cmp.Or(fields.Into(&on, enabled, conf), fields.Into(&at, address, conf)); err != nil {
		return nil, fields.Within(Name, err)
	}
	if !on {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", at)
	if err != nil {
		return nil, fields.Within(Name, fmt.Errorf("address: the page cannot be served at %v: %w; choose another address, or enabled: false", at, err))
	}
	s, err := newServer(at, log)
	if err != nil {
		_ = listener.Close() // nobody has connected
		return nil, fields.Within(Name, fmt.Errorf("address: %w", err))
	}
	gallery.Process.Open()
	s.serve(listener, newSampler(version, time.Now()))
	log.With("url", fmt.Sprintf("http://%v", listener.Addr())).Info("Serving the page")
	return s, nil
}
