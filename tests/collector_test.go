package tests

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/proto"
)

// collector takes traces by OTLP.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer

	address string

	mu       sync.Mutex
	received []span
}

// span is one with its resource.
type span struct {
	*tracepb.Span

	resource map[string]string
}

// newCollector starts a collector of the transport http or grpc.
func newCollector(t *testing.T, transport string) *collector {
	t.Helper()
	c := &collector{}
	if transport == "grpc" {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := grpc.NewServer()
		collectorpb.RegisterTraceServiceServer(server, c)
		go func() { assert.NoError(t, server.Serve(listener)) }()
		t.Cleanup(server.Stop)
		c.address = listener.Addr().String()
		return c
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/v1/traces", r.URL.Path)
		assert.Equal(t, "application/x-protobuf", r.Header.Get("Content-Type"))
		body, err := gzip.NewReader(r.Body)
		if !assert.NoError(t, err) {
			return
		}
		raw, err := io.ReadAll(body)
		assert.NoError(t, err)
		request := &collectorpb.ExportTraceServiceRequest{}
		assert.NoError(t, proto.Unmarshal(raw, request))
		answer, err := c.Export(r.Context(), request)
		assert.NoError(t, err)
		raw, err = proto.Marshal(answer)
		assert.NoError(t, err)
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, err = w.Write(raw)
		assert.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	c.address = strings.TrimPrefix(server.URL, "http://")
	return c
}

// Export takes spans.
func (c *collector) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, group := range r.GetResourceSpans() {
		resource := map[string]string{}
		for _, a := range group.GetResource().GetAttributes() {
			resource[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range group.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.received = append(c.received, span{s, resource})
			}
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// traces returns the spans by the ids of their traces.
func (c *collector) traces() map[string][]span {
	c.mu.Lock()
	defer c.mu.Unlock()
	traces := map[string][]span{}
	for _, s := range c.received {
		id := hex.EncodeToString(s.GetTraceId())
		traces[id] = append(traces[id], s)
	}
	return traces
}

// named returns the spans of a name.
func named(spans []span, name string) (found []span) {
	for _, s := range spans {
		if s.GetName() == name {
			found = append(found, s)
		}
	}
	return found
}

// attributes returns those of a span.
func (s span) attributes() map[string]any {
	all := map[string]any{}
	for _, a := range s.GetAttributes() {
		switch value := a.GetValue(); {
		case value.GetStringValue() != "":
			all[a.GetKey()] = value.GetStringValue()
		default:
			all[a.GetKey()] = int(value.GetIntValue())
		}
	}
	return all
}
