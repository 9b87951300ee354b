package tracer

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

func init() {
	fields.RegisterTracer(collectorType, collectorSpec(), newCollector)
}

// newCollector returns what makes the spans of a service and sends them.
func newCollector(conf *service.ParsedConfig) (trace.TracerProvider, error) {
	c, err := parseCollectors(conf)
	if err != nil {
		return nil, err
	}
	res := conf.Resources()
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(c.attributes...)),
		sdktrace.WithSampler(sdktrace.ParentBased(c.sampler)),
	}
	for _, e := range c.exporters {
		exporter, err := otlptrace.New(context.Background(), e.client)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", e.address, err)
		}
		options = append(options, sdktrace.WithSpanProcessor(newQueue(exporter, e.address, res.Logger())))
	}
	// What the exporters tell here, their queues have told.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { res.Logger().With("error", err.Error()).Debug("Tracing") }))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	provider := sdktrace.NewTracerProvider(options...)
	running.add(provider)
	return provider, nil
}

// collectors is what the fields say.
type collectors struct {
	exporters  []exporter
	attributes []attribute.KeyValue
	sampler    sdktrace.Sampler
}

type exporter struct {
	address string
	client  otlptrace.Client
}

func parseCollectors(conf *service.ParsedConfig) (c collectors, err error) {
	var name string
	var added map[string]string
	var sampled bool
	var share float64
	sampling := conf.Namespace(fieldSampling)
	err = cmp.Or(
		fields.Into(&name, serviceName, conf),
		fields.Into(&added, tags, conf),
		fields.Within(fieldSampling, cmp.Or(
			fields.Into(&sampled, enabled, sampling),
			fields.Into(&share, ratio, sampling),
		)),
	)
	if err != nil {
		return c, err
	}
	c.sampler = sdktrace.AlwaysSample()
	if sampled {
		c.sampler = sdktrace.TraceIDRatioBased(share)
	}
	c.attributes = []attribute.KeyValue{attribute.String("service.name", name), attribute.String("service.version", conf.EngineVersion())}
	for key, value := range added {
		c.attributes = append(c.attributes, attribute.String(key, value))
	}
	for _, transport := range []struct {
		field  string
		client func(address string, secure bool) otlptrace.Client
	}{{fieldHTTP, overHTTP}, {fieldGRPC, overGRPC}} {
		if !conf.Contains(transport.field) {
			continue
		}
		list, err := conf.FieldObjectList(transport.field)
		if err != nil {
			return c, err
		}
		for k, element := range list {
			e := exporter{}
			var tls bool
			err := cmp.Or(fields.Into(&e.address, address, element), fields.Into(&tls, secure, element))
			if err == nil && e.address == "" {
				err = errors.New("address: it is missing")
			}
			if err != nil {
				return c, fmt.Errorf("%v[%v].%w", transport.field, k, err)
			}
			e.client = transport.client(e.address, tls)
			c.exporters = append(c.exporters, e)
		}
	}
	if len(c.exporters) == 0 {
		return c, errors.New("http and grpc: name at least one collector")
	}
	return c, nil
}

// overHTTP returns a client that tries a batch again for as long as exportTimeout.
func overHTTP(address string, secure bool) otlptrace.Client {
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpoint(address),
		otlptracehttp.WithTimeout(requestTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: retryDelay, MaxInterval: maxRetryDelay, MaxElapsedTime: exportTimeout}),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
	}
	if !secure {
		options = append(options, otlptracehttp.WithInsecure())
	}
	return otlptracehttp.NewClient(options...)
}

// overGRPC is overHTTP by the other transport.
func overGRPC(address string, secure bool) otlptrace.Client {
	options := []otlptracegrpc.Option{
		otlptracegrpc.WithEndpoint(address),
		otlptracegrpc.WithTimeout(requestTimeout),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: true, InitialInterval: retryDelay, MaxInterval: maxRetryDelay, MaxElapsedTime: exportTimeout}),
		otlptracegrpc.WithCompressor("gzip"),
	}
	if !secure {
		options = append(options, otlptracegrpc.WithInsecure())
	}
	return otlptracegrpc.NewClient(options...)
}
