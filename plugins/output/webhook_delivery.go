package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
)

// webhookDelivery is one request, with the indexes of the messages that it
// carries.
type webhookDelivery struct {
	request  httpclient.Request
	id       string // of the signature
	messages []int
	names    func() []string // of the messages
}

// of returns the messages that the delivery carries.
func (d *webhookDelivery) of(batch service.MessageBatch) service.MessageBatch {
	messages := make(service.MessageBatch, len(d.messages))
	for k, i := range d.messages {
		messages[k] = batch[i]
	}
	return messages
}

// each makes a request of each message.
func (w *webhookOutput) each(batch service.MessageBatch, failed *batchFailures) []webhookDelivery {
	in := newInterpolator(batch)
	deliveries := make([]webhookDelivery, 0, len(batch))
	for i, m := range batch {
		body, err := m.AsBytes()
		if err != nil {
			failed.add(err, i)
			continue
		}
		key, err := w.keyOf(in, i, body)
		if err != nil {
			failed.add(err, i)
			continue
		}
		d, err := w.delivery(in, i, key, body)
		if err != nil {
			failed.add(err, i)
			continue
		}
		d.messages = []int{i}
		deliveries = append(deliveries, d)
	}
	return deliveries
}

// whole makes one request of all messages but those that have no place in it.
func (w *webhookOutput) whole(batch service.MessageBatch, failed *batchFailures) []webhookDelivery {
	in := newInterpolator(batch)
	var bodies [][]byte
	var messages []int
	var keys []string
	for i, m := range batch {
		body, err := m.AsBytes()
		if err == nil {
			body, err = w.compact(body)
		}
		if err != nil {
			failed.add(err, i)
			continue
		}
		key, err := w.keyOf(in, i, body)
		if err != nil {
			failed.add(err, i)
			continue
		}
		bodies, messages, keys = append(bodies, body), append(messages, i), append(keys, key)
	}
	if len(messages) == 0 {
		return nil
	}

	var body []byte
	if w.format == webhookArray {
		body = slices.Concat([]byte("["), bytes.Join(bodies, []byte(",")), []byte("]"))
	} else {
		body = append(bytes.Join(bodies, []byte("\n")), '\n')
	}
	d, err := w.delivery(in, messages[0], keyOfAll(keys), body)
	if err != nil {
		failed.add(err, messages...)
		return nil
	}
	d.messages = messages
	return []webhookDelivery{d}
}

// compact returns a message's body as an element of an array or as a line.
func (w *webhookOutput) compact(body []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, body); err == nil {
		return out.Bytes(), nil
	} else if w.format == webhookArray {
		return nil, fmt.Errorf("%v: %v: the message is not JSON: %w", webhookBatchFormat.Name(), webhookArray, err)
	}
	if bytes.ContainsAny(body, "\r\n") {
		return nil, fmt.Errorf("%v: %v: the message is neither JSON nor one line", webhookBatchFormat.Name(), webhookLines)
	}
	return body, nil
}

// delivery makes a request with the interpolated fields of message i.
func (w *webhookOutput) delivery(in *interpolator, i int, key string, body []byte) (d webhookDelivery, err error) {
	u, err := w.url.URL(in.resolver(i))
	if err != nil {
		return d, fmt.Errorf("%v: %w", webhookURL.Name(), w.client.Mask().MaskError(err))
	}
	header, err := w.client.Headers(in.resolver(i))
	if err != nil {
		return d, err
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", w.contentType())
	}
	if key != "" && header.Get(idempotencyHeader) == "" {
		header.Set(idempotencyHeader, key)
	}
	d.request = httpclient.Request{Method: w.method, URL: u, Header: header, Body: body}
	switch d.id = key; {
	case key == "":
		d.id = hashOf(body)
	case strings.Contains(key, "."):
		d.id = hashOf([]byte(key)) // the specification separates what is signed by full stops
	}
	return d, nil
}

func (w *webhookOutput) contentType() string {
	if w.format == webhookLines {
		return "application/x-ndjson"
	}
	return "application/json"
}
