package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"gopkg.in/yaml.v3"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// composeFile is what the test reads of deploy/compose/compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Command     []string
		Environment map[string]string
		Volumes     []string
	}
}

// config returns the configuration of a service on this machine: what is mounted at
// the path of its command, or what the image has there.
func (c *composeFile) config(t *testing.T, service string) string {
	t.Helper()
	command := c.Services[service].Command
	require.Len(t, command, 2, service)
	require.Equal(t, "-c", command[0])
	for _, volume := range c.Services[service].Volumes {
		if from, to, _ := strings.Cut(strings.TrimSuffix(volume, ":ro"), ":"); to == command[1] {
			return deployed(t, "compose", from)
		}
	}
	name, ok := strings.CutPrefix(command[1], "/etc/mfn-connect/streams/") // where deploy/Dockerfile puts config/
	require.True(t, ok, command[1])
	return config(t, name)
}

// environment returns that of a service, with what names of its network stand for.
func (c *composeFile) environment(service string, names map[string]string) (env []string) {
	for name, value := range c.Services[service].Environment {
		if here, ok := names[value]; ok {
			value = here
		}
		env = append(env, name+"="+value)
	}
	return env
}

// deployed returns the path of a file of deploy/.
func deployed(t *testing.T, path ...string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join(append([]string{"..", "deploy"}, path...)...))
	require.NoError(t, err)
	return absolute
}

// startBroker starts a real Kafka where its jars are there, else a fake one.
func startBroker(t *testing.T) (address string) {
	t.Helper()
	if jars := os.Getenv("MFN_KAFKA_JARS"); jars != "" {
		c, err := broker.Start(t.Context(), broker.Options{Jars: jars, Dir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c.Brokers()[0]
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

var topicsOf = regexp.MustCompile(`for topic in (.*); do`)

// The services of the compose file that are ours run as processes, with its commands,
// files and environments; Prometheus scrapes them, where it is installed, and answers
// what the dashboard asks.
func TestComposeServicesRunTogether(t *testing.T) {
	const points = 300
	raw, err := os.ReadFile(deployed(t, "compose", "compose.yaml"))
	require.NoError(t, err)
	var compose composeFile
	require.NoError(t, yaml.Unmarshal(raw, &compose))
	address := startBroker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)

	topics := topicsOf.FindStringSubmatch(strings.Join(compose.Services["topics"].Command, "\n"))
	require.NotNil(t, topics)
	made, err := admin.CreateTopics(t.Context(), 12, 1, nil, strings.Fields(topics[1])...)
	require.NoError(t, err)
	require.NoError(t, made.Error())

	names := map[string]string{"kafka:9092": address}
	sweep := run(t, t.TempDir(), append(compose.environment("sweep", names), fmt.Sprint("COUNT=", points), "STEPS=20"), "-c", compose.config(t, "sweep"))
	require.NoError(t, sweep.err, sweep.log())

	var workers []string
	for range 2 {
		names["0.0.0.0:4195"] = freeAddress(t)
		workers = append(workers, names["0.0.0.0:4195"])
		worker := start(t, t.TempDir(), compose.environment("worker", names), "-c", compose.config(t, "worker"))
		defer worker.stop(t)
	}
	count := func(topic string) (n int64) {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		require.NoError(t, err)
		ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
		return n
	}
	await.Until(t, func() bool { return count("mfn-output") == points }, "a result of each point")
	assert.Zero(t, count("mfn-failures"))

	t.Run("Prometheus", func(t *testing.T) { testPrometheus(t, &compose, workers) })
}

// testPrometheus starts Prometheus with the configuration of the compose file.
func testPrometheus(t *testing.T, compose *composeFile, workers []string) {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("Prometheus is not installed")
	}
	dir := t.TempDir()
	for _, volume := range compose.Services["prometheus"].Volumes {
		from, to, _ := strings.Cut(strings.TrimSuffix(volume, ":ro"), ":")
		content, err := os.ReadFile(deployed(t, "compose", from))
		require.NoError(t, err)
		if filepath.Base(to) == "prometheus.yml" {
			content = scrapeHere(t, content, workers)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(to)), content, 0o600))
	}
	address := freeAddress(t)
	logs := &syncBuffer{}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = logs, logs
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // by the signal
		if t.Failed() {
			t.Log(logs.String())
		}
	}()
	ask := func(path string, into any) bool {
		client := http.Client{Timeout: 5 * time.Second}
		response, err := client.Get("http://" + address + path)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }() // it was only read
		body, err := io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusOK && json.Unmarshal(body, into) == nil
	}
	values := func(expr string) (n int, ok bool) {
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		ok = ask("/api/v1/query?query="+url.QueryEscape(expr), &answer)
		return len(answer.Data.Result), ok
	}
	await.Until(t, func() bool { n, _ := values(`up{job="mfn-connect"} == 1`); return n == len(workers) }, "both workers are up")

	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	require.True(t, ask("/api/v1/rules", &rules))
	require.NotEmpty(t, rules.Data.Groups)
	for _, group := range rules.Data.Groups {
		for _, rule := range group.Rules {
			assert.NotEqual(t, "err", rule.Health, "%v: %v", rule.Name, rule.LastError)
		}
	}

	board, err := os.ReadFile(deployed(t, "grafana", "dashboard.json"))
	require.NoError(t, err)
	for _, expr := range panelQueries(t, board) {
		if strings.Contains(expr, "mfn_source_") || strings.Contains(expr, "mfn_circuit_state") {
			_, ok := values(expr)
			assert.True(t, ok, expr)
			continue // a topic has no end, and the stream no circuit breaker
		}
		await.Until(t, func() bool { n, _ := values(expr); return n > 0 }, expr)
	}
}

// scrapeHere replaces the names that the network of the compose file resolves by the
// addresses of the workers.
func scrapeHere(t *testing.T, content []byte, workers []string) []byte {
	t.Helper()
	var conf map[string]any
	require.NoError(t, yaml.Unmarshal(content, &conf))
	conf["global"] = map[string]any{"scrape_interval": "1s"}
	jobs := conf["scrape_configs"].([]any)
	require.Len(t, jobs, 1)
	job := jobs[0].(map[string]any)
	found, err := yaml.Marshal(job["dns_sd_configs"])
	require.NoError(t, err)
	require.Contains(t, string(found), "- worker\n")
	require.Contains(t, string(found), "port: 4195\n")
	delete(job, "dns_sd_configs")
	job["static_configs"] = []any{map[string]any{"targets": workers}}
	content, err = yaml.Marshal(conf)
	require.NoError(t, err)
	return content
}
