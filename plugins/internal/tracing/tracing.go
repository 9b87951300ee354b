// Package tracing gives messages their place in a trace. A trace is that of one
// message: its span begins at the input, and what is done with the message has spans
// below it.
//
// Without a tracer nothing is read from what comes in, and so nothing is sent.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope is the name under which spans are made.
const scope = "mfn-connect"

// parentHeader names the span that a message comes from.
const parentHeader = "traceparent"

// traced says whether the process has a tracer.
var traced atomic.Bool

// Spans begins the spans of an input's messages. The zero value begins none.
type Spans struct {
	tracer trace.Tracer
	name   string
}

// NewSpans returns the spans of an input of the given type.
func NewSpans(res *service.Resources, typ string) Spans {
	provider := res.OtelTracer()
	if _, none := provider.(noop.TracerProvider); none || provider == nil {
		return Spans{}
	}
	traced.Store(true)
	return Spans{tracer: provider.Tracer(scope), name: "input_" + typ}
}

// Begin gives each message of a batch its span. Benthos ends it with the message,
// and begins another below it, in the same trace, when the message comes again.
func (s Spans) Begin(batch service.MessageBatch) {
	if s.tracer == nil {
		return
	}
	for i, m := range batch {
		ctx, _ := s.tracer.Start(m.Context(), s.name) //nolint:spancheck // Benthos ends it
		batch[i] = m.WithContext(ctx)
	}
}

// FromHeader returns a message whose trace is that of an HTTP header, if the header
// names one.
func FromHeader(m *service.Message, header http.Header) *service.Message {
	if header.Get(parentHeader) == "" {
		return m
	}
	return extract(m, propagation.HeaderCarrier(header))
}

// ToHeader writes the span of ctx into an HTTP header, unless it names one already.
func ToHeader(ctx context.Context, header http.Header) {
	if header.Get(parentHeader) == "" {
		otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// FromRecord returns a message whose trace is that of a record's headers, if they
// name one.
func FromRecord(m *service.Message, r *kgo.Record) *service.Message {
	carrier := recordCarrier{r}
	if carrier.Get(parentHeader) == "" {
		return m
	}
	return extract(m, carrier)
}

// ToRecord writes the span of ctx into the headers of a record.
func ToRecord(ctx context.Context, r *kgo.Record) {
	otel.GetTextMapPropagator().Inject(ctx, recordCarrier{r})
}

func extract(m *service.Message, carrier propagation.TextMapCarrier) *service.Message {
	if !traced.Load() {
		return m
	}
	ctx := otel.GetTextMapPropagator().Extract(m.Context(), carrier)
	if ctx == m.Context() {
		return m
	}
	return m.WithContext(ctx)
}

// linksKey is the key of what Of leaves in a context for Start.
type linksKey struct{}

// Of returns a context for an operation on messages: a span that begins in it is
// below that of the first, and linked to those of the others.
func Of(ctx context.Context, messages ...*service.Message) context.Context {
	if len(messages) == 0 {
		return ctx
	}
	parent := trace.SpanFromContext(messages[0].Context())
	if !parent.SpanContext().IsValid() {
		return ctx
	}
	ctx = trace.ContextWithSpan(ctx, parent)
	if len(messages) > 1 && parent.IsRecording() {
		links := make([]trace.Link, 0, len(messages)-1)
		for _, m := range messages[1:] {
			if span := trace.SpanContextFromContext(m.Context()); span.IsValid() {
				links = append(links, trace.Link{SpanContext: span})
			}
		}
		ctx = context.WithValue(ctx, linksKey{}, links)
	}
	return ctx
}

// Start begins a span below that of ctx, if that is recorded.
func Start(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noop.Span{}
	}
	links, _ := ctx.Value(linksKey{}).([]trace.Link)
	return parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithLinks(links...))
}

// Describe adds attributes to the span of ctx: keys, each followed by its value.
func Describe(ctx context.Context, keyValues ...any) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	for k := 0; k+1 < len(keyValues); k += 2 {
		key, _ := keyValues[k].(string)
		span.SetAttributes(attributeOf(key, keyValues[k+1]))
	}
}

func attributeOf(key string, value any) attribute.KeyValue {
	switch value := value.(type) {
	case int:
		return attribute.Int(key, value)
	case int64:
		return attribute.Int64(key, value)
	case float64:
		return attribute.Float64(key, value)
	case string:
		return attribute.String(key, value)
	default:
		return attribute.String(key, fmt.Sprint(value))
	}
}

// End ends a span, with the error if there is one. err must hold no secret.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// recordCarrier reads and sets the headers of a record.
type recordCarrier struct{ record *kgo.Record }

// Get returns the last value of a key.
func (c recordCarrier) Get(key string) string {
	for k := len(c.record.Headers) - 1; k >= 0; k-- {
		if c.record.Headers[k].Key == key {
			return string(c.record.Headers[k].Value)
		}
	}
	return ""
}

// Set sets the value of a key, in place of those that are there.
func (c recordCarrier) Set(key, value string) {
	headers := make([]kgo.RecordHeader, 0, len(c.record.Headers)+1)
	for _, h := range c.record.Headers {
		if h.Key != key {
			headers = append(headers, h)
		}
	}
	headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	c.record.Headers = headers
}

// Keys returns the keys.
func (c recordCarrier) Keys() []string {
	keys := make([]string, len(c.record.Headers))
	for k, h := range c.record.Headers {
		keys[k] = h.Key
	}
	return keys
}
