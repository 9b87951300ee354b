package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func component(t *testing.T, role Role) *Component {
	t.Helper()
	c := New(service.MockResources(), "test_"+t.Name(), role)
	t.Cleanup(c.Close)
	return c
}

// reportOf returns the newest report of the given type.
func reportOf(t *testing.T, typ string) ComponentReport {
	t.Helper()
	found := ComponentReport{}
	for _, c := range Snapshot().Components {
		if c.Type == typ {
			found = c
		}
	}
	require.Equal(t, typ, found.Type, "the component is not in the registry")
	return found
}

func TestReportOfAConnector(t *testing.T) {
	c := component(t, Connector)
	m := reportOf(t, c.Type()).Metrics.(ConnectorMetrics)
	assert.Equal(t, ConnectorMetrics{}, m, "nothing has happened yet")

	c.AttemptSucceeded(100)
	c.AttemptFailed(errors.New("first"))
	c.Retried()
	c.AttemptFailed(errors.New("second"))
	c.OperationFailed(errors.New("second"))

	m = reportOf(t, c.Type()).Metrics.(ConnectorMetrics)
	assert.EqualValues(t, 3, m.TotalRequests)
	assert.EqualValues(t, 1, m.SuccessfulRequests)
	assert.EqualValues(t, 1, m.FailedRequests)
	assert.EqualValues(t, 1, m.TotalRetries)
	assert.EqualValues(t, 100, m.TotalBytesFetched)
	assert.Equal(t, "second", *m.LastError)
	assert.InDelta(t, 1.0/3, m.SuccessRate, 1e-12)
	assert.GreaterOrEqual(t, *m.LastErrorTimestamp, *m.LastFetchTimestamp)
}

func TestJSONHasTheNamesOfEachRole(t *testing.T) {
	for role, want := range map[Role]string{
		Connector: `{"total_requests":1,"successful_requests":1,"failed_requests":0,"total_retries":0,"total_bytes_fetched":7,"last_fetch_timestamp":%s,"last_error":null,"last_error_timestamp":null,"success_rate":1}`,
		Publisher: `{"total_publishes":1,"successful_publishes":1,"failed_publishes":0,"total_retries":0,"total_bytes_published":7,"last_publish_timestamp":%s,"last_error":null,"last_error_timestamp":null,"success_rate":1}`,
	} {
		t.Run(string(role), func(t *testing.T) {
			c := New(service.MockResources(), "test_json_"+string(role), role)
			t.Cleanup(c.Close)
			c.AttemptSucceeded(7)
			got, err := json.Marshal(reportOf(t, c.Type()).Metrics)
			require.NoError(t, err)

			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(got, &fields))
			when := fields["last_fetch_timestamp"]
			if role == Publisher {
				when = fields["last_publish_timestamp"]
			}
			assert.Equal(t, fmt.Sprintf(want, when), string(got))
		})
	}
}

func TestFailingSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := component(t, Publisher)
		since := func() *float64 { return reportOf(t, c.Type()).FailingSince }
		assert.Nil(t, since())
		first := seconds(time.Now())
		c.AttemptFailed(errors.New("first"))
		time.Sleep(time.Minute)
		c.AttemptFailed(errors.New("second"))
		require.Equal(t, first, *since(), "the first failure counts")
		c.AttemptSucceeded(1)
		assert.Nil(t, since())
		c.AttemptFailed(errors.New("third"))
		assert.Equal(t, first+60, *since())
	})
}

func TestLag(t *testing.T) {
	c := component(t, Connector)
	lag := func() []PartitionLag { return reportOf(t, c.Type()).Lag }
	assert.Empty(t, lag())
	c.SetLag("b", 0, 3)
	c.SetLag("a", 11, 2)
	c.SetLag("a", 2, 1)
	assert.Equal(t, []PartitionLag{{"a", 2, 1}, {"a", 11, 2}, {"b", 0, 3}}, lag())
	c.ForgetLag("a", 11)
	c.SetLag("b", 0, 4)
	assert.Equal(t, []PartitionLag{{"a", 2, 1}, {"b", 0, 4}}, lag())
	c.Close()
	assert.Empty(t, lag(), "it reads no more")
}

func TestStates(t *testing.T) {
	for role, active := range map[Role]State{Connector: Fetching, Publisher: Publishing} {
		t.Run(string(role), func(t *testing.T) {
			c := New(service.MockResources(), "test_states_"+string(role), role)
			state := func() State { return reportOf(t, c.Type()).Status }
			assert.Equal(t, Idle, state())
			c.Connecting()
			c.Connected()
			assert.Equal(t, Connected, state())

			first, second := c.Begin(), c.Begin()
			assert.Equal(t, active, state())
			first()
			first() // the second call changes nothing
			assert.Equal(t, active, state(), "another operation is under way")
			second()
			assert.Equal(t, Connected, state())

			end := c.Begin()
			c.AttemptFailed(errors.New("broken"))
			assert.Equal(t, Error, state(), "while its operation is under way")
			c.OperationFailed(errors.New("broken"))
			end()
			assert.Equal(t, Error, state())
			end = c.Begin()
			assert.Equal(t, Error, state(), "until something succeeds")
			c.Connecting()
			assert.Equal(t, Error, state())
			c.AttemptSucceeded(1)
			assert.Equal(t, active, state())
			end()
			assert.Equal(t, Connected, state())

			c.Connecting()
			c.Failed(errors.New("unreachable"))
			assert.Equal(t, Error, state(), "it could not connect")
			c.Connected()
			assert.Equal(t, Connected, state())

			c.Close()
			c.Close()
			assert.Equal(t, Disconnected, state())
			c.Connected()
			c.AttemptSucceeded(1)
			c.Begin()()
			assert.Equal(t, Disconnected, state(), "a component that has ended stays so")
		})
	}
}

func TestLocate(t *testing.T) {
	c := component(t, Connector)
	SetLocation(strconv.FormatUint(c.instance, 10), "root.input", "params", "stream")
	SetLocation("no number", "x", "x", "x")
	SetLocation("0", "x", "x", "x")
	r := reportOf(t, c.Type())
	assert.Equal(t, "root.input", r.Path)
	assert.Equal(t, "params", r.Label)
	assert.Equal(t, "stream", r.Stream)
}

func TestBoardKeepsTheLastThatEnded(t *testing.T) {
	for range keptClosed + 10 {
		New(service.MockResources(), "test_ended", Connector).Close()
	}
	ended := 0
	for _, c := range Snapshot().Components {
		if c.Status == Disconnected {
			ended++
		}
	}
	assert.Equal(t, keptClosed, ended)
}

func TestReportListsTheLastFailures(t *testing.T) {
	recent = failures{}
	c := component(t, Publisher)
	SetLocation(strconv.FormatUint(c.instance, 10), "root.output", "results", "stream")
	assert.JSONEq(t, `[]`, marshal(t, Snapshot().Failures), "not null")

	c.NoteFailure("webhook POST /", []string{"a", ""}, errors.New("503"))
	NoteFailure("mfn_simulate", "simulate", "simulation", "bad", errors.New("grid_size: 3 is not allowed"))
	c.NoteFailure("webhook POST /", []string{"a"}, errors.New("refused"))

	got := Snapshot().Failures
	require.Len(t, got, 2)
	newest := got[0]
	assert.Equal(t, Failure{
		Type: c.Type(), Label: "results", Path: "root.output", Stream: "stream", Operation: "webhook POST /", Messages: []string{"a"},
		Count: 2, Since: newest.Since, Timestamp: newest.Timestamp, Error: "refused", Instance: c.instance, component: c,
	}, newest)
	assert.GreaterOrEqual(t, newest.Timestamp, newest.Since)
	assert.Equal(t, []string{"bad"}, got[1].Messages)
	assert.Equal(t, "simulate", got[1].Label)

	many := make([]string, 1000)
	for k := range many {
		many[k] = strconv.Itoa(k)
	}
	for k := range 2 * maxFailures {
		c.NoteFailure("webhook POST /", many[k:], errors.New("503"))
	}
	got = Snapshot().Failures
	require.Len(t, got, maxFailures)
	assert.Equal(t, "39", got[0].Messages[0], "the newest is the first")
	assert.Len(t, got[0].Messages, maxMessages)
}

func TestFailuresAreTheSameOnlyIfAllIsTheSame(t *testing.T) {
	one, two := component(t, Publisher), component(t, Publisher)
	two.typ = one.typ
	again := errors.New("again")
	for _, row := range []struct {
		name string
		note func()
		same bool
	}{
		{"the same", func() { one.NoteFailure("POST", []string{"a"}, again) }, true},
		{"another component", func() { two.NoteFailure("POST", []string{"a"}, again) }, false},
		{"another operation", func() { one.NoteFailure("GET", []string{"a"}, again) }, false},
		{"other messages", func() { one.NoteFailure("POST", []string{"b"}, again) }, false},
		{"no component", func() { NoteFailure(one.typ, "", "POST", "a", again) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			recent = failures{}
			one.NoteFailure("POST", []string{"a"}, errors.New("first"))
			row.note()
			assert.Len(t, Snapshot().Failures, map[bool]int{true: 1, false: 2}[row.same])
		})
	}
	recent = failures{}
	NoteFailure("mfn_simulate", "label", "simulation", "a", again)
	NoteFailure("mfn_simulate", "another", "simulation", "a", again)
	NoteFailure("mfn_features", "label", "simulation", "a", again)
	assert.Len(t, Snapshot().Failures, 3)
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
