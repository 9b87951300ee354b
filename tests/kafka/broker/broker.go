// Package broker runs a real Apache Kafka for tests: one or several brokers in
// KRaft mode on free ports of one address, each with listeners without and with
// authentication and with TLS. It needs Java 17 and the jars that pom.xml names.
package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The credentials that the listener with authentication takes, by PLAIN,
// SCRAM-SHA-256 and SCRAM-SHA-512.
const (
	User     = "mfn"
	Password = "s3cr3t-of-the-broker"
)

// startTimeout is how long a broker may take to answer.
const startTimeout = 2 * time.Minute

// Options say what to start.
type Options struct {
	Jars    string // directory of the jars
	Dir     string // directory for data, certificates, logs and pids, which exists
	Brokers int    // how many; 1 if 0
	Host    string // where they listen; 127.0.0.1 if empty. The certificates are for 127.0.0.1
	// Through, if set, is called with the address of each broker's listener
	// without authentication, before it starts, and returns the one that clients
	// are told instead, such as that of a proxy.
	Through func(address string) (string, error)
	// Properties are further broker settings, which win over those made here.
	Properties map[string]string
}

// Cluster is a running Kafka.
type Cluster struct {
	opts  Options
	ca    string
	nodes []*Node
}

// Node is one broker, which is a controller too.
type Node struct {
	ID  int
	dir string

	plain, sasl, tls, controller int    // ports
	advertised                   string // of plain
	jars                         string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start starts a cluster and waits until it answers.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	opts.Brokers = max(opts.Brokers, 1)
	opts.Host = cmp.Or(opts.Host, "127.0.0.1")
	c := &Cluster{opts: opts}
	for id := 1; id <= opts.Brokers; id++ {
		n := &Node{ID: id, jars: opts.Jars, dir: filepath.Join(opts.Dir, "broker-"+strconv.Itoa(id))}
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return nil, fmt.Errorf("making the broker's directory: %w", err)
		}
		c.nodes = append(c.nodes, n)
	}
	if err := c.choosePorts(); err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		n.advertised = fmt.Sprintf("%v:%v", opts.Host, n.plain)
		if opts.Through == nil {
			continue
		}
		var err error
		if n.advertised, err = opts.Through(n.advertised); err != nil {
			return nil, err
		}
	}
	var err error
	if c.ca, err = makeCertificates(opts.Dir); err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	for _, n := range c.nodes {
		if err := c.format(ctx, n); err != nil {
			return nil, err
		}
	}
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.Wait(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// choosePorts holds all ports open until the last is chosen, so that none is
// chosen twice.
func (c *Cluster) choosePorts() error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for _, n := range c.nodes {
		for _, port := range []*int{&n.plain, &n.sasl, &n.tls, &n.controller} {
			l, err := net.Listen("tcp", net.JoinHostPort(c.opts.Host, "0"))
			if err != nil {
				return fmt.Errorf("choosing a port: %w", err)
			}
			held = append(held, l)
			*port = l.Addr().(*net.TCPAddr).Port
		}
	}
	return nil
}

func (c *Cluster) properties(n *Node) string {
	replicas := strconv.Itoa(min(len(c.nodes), 3))
	inSync := "1"
	if len(c.nodes) >= 3 {
		inSync = "2"
	}
	voters := make([]string, len(c.nodes))
	for i, other := range c.nodes {
		voters[i] = fmt.Sprintf("%v@%v:%v", other.ID, c.opts.Host, other.controller)
	}
	secured := fmt.Sprintf("SASL_PLAINTEXT://%v:%v,SSL://%v:%v", c.opts.Host, n.sasl, c.opts.Host, n.tls)
	p := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          strconv.Itoa(n.ID),
		"controller.quorum.voters":                         strings.Join(voters, ","),
		"controller.listener.names":                        "CONTROLLER",
		"listeners":                                        fmt.Sprintf("PLAINTEXT://%v:%v,%v,CONTROLLER://%v:%v", c.opts.Host, n.plain, secured, c.opts.Host, n.controller),
		"advertised.listeners":                             fmt.Sprintf("PLAINTEXT://%v,%v", n.advertised, secured),
		"listener.security.protocol.map":                   "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL",
		"inter.broker.listener.name":                       "PLAINTEXT",
		"log.dirs":                                         filepath.Join(n.dir, "data"),
		"sasl.enabled.mechanisms":                          "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"ssl.keystore.type":                                "PEM",
		"ssl.keystore.location":                            filepath.Join(c.opts.Dir, serverFile),
		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              inSync,
		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "4",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"transaction.state.log.num.partitions":             "4",
		"share.coordinator.state.topic.min.isr":            inSync,
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": replicas,
		"group.initial.rebalance.delay.ms":                 "0",
		"group.min.session.timeout.ms":                     "1000",
		"num.partitions":                                   "1",
		"listener.name.sasl_plaintext.plain.sasl.jaas.config": fmt.Sprintf(
			`org.apache.kafka.common.security.plain.PlainLoginModule required user_%v="%v";`, User, Password),
		"listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
	}
	for key, value := range c.opts.Properties {
		p[key] = value
	}
	var b strings.Builder
	for key, value := range p {
		fmt.Fprintf(&b, "%v=%v\n", key, value)
	}
	return b.String()
}

// format prepares a broker's directory.
func (c *Cluster) format(ctx context.Context, n *Node) error {
	if err := os.WriteFile(n.config(), []byte(c.properties(n)), 0o600); err != nil {
		return fmt.Errorf("writing the broker's configuration: %w", err)
	}
	args := append(java(n.jars), "kafka.tools.StorageTool", "format",
		"--config", n.config(), "--cluster-id", "bWZuLWNvbm5lY3QtdGVzdA", "--ignore-formatted")
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%v=[name=%v,password=%v]", mechanism, User, Password))
	}
	if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting the broker's directory: %w: %s", err, out)
	}
	return nil
}

func java(jars string) []string {
	// Starting fast matters more here than running fast.
	return []string{"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(jars, "*")}
}

// Brokers lists the addresses without authentication.
func (c *Cluster) Brokers() []string { return c.addresses(func(n *Node) int { return n.plain }) }

// SASL lists the addresses with authentication.
func (c *Cluster) SASL() []string { return c.addresses(func(n *Node) int { return n.sasl }) }

// TLS lists the addresses with TLS.
func (c *Cluster) TLS() []string { return c.addresses(func(n *Node) int { return n.tls }) }

// CA is the file of the certificate that the brokers' are signed with.
func (c *Cluster) CA() string { return c.ca }

// Nodes lists the brokers.
func (c *Cluster) Nodes() []*Node { return c.nodes }

func (c *Cluster) addresses(port func(*Node) int) []string {
	list := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		list[i] = fmt.Sprintf("%v:%v", c.opts.Host, port(n))
	}
	return list
}

// Wait waits until all brokers are there and lead something.
func (c *Cluster) Wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		brokers, err := kadm.NewClient(client).ListBrokers(attempt)
		done()
		if err == nil && len(brokers) == len(c.nodes) {
			return nil
		}
		for _, n := range c.nodes {
			if n.ended() {
				return fmt.Errorf("broker %v has ended, its log says: %v", n.ID, n.logTail())
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the brokers do not answer: %w, %w", ctx.Err(), err)
		}
	}
}

// Close kills all brokers.
func (c *Cluster) Close() {
	for _, n := range c.nodes {
		_ = n.Kill()
	}
}

func (n *Node) config() string  { return filepath.Join(n.dir, "server.properties") }
func (n *Node) logFile() string { return filepath.Join(n.dir, "broker.log") }

// pidFile is where a script finds what to kill if this process cannot.
func (n *Node) pidFile() string { return n.dir + ".pid" }

// Data is the directory that holds what the broker remembers.
func (n *Node) Data() string { return filepath.Join(n.dir, "data") }

// Start starts a broker that was stopped or killed. It does not wait.
func (n *Node) Start() error { return n.start() }

func (n *Node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the broker's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the broker has its own
	cmd := exec.Command("java", append(java(n.jars), "kafka.Kafka", n.config())...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tests, which stop it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting broker %v: %w", n.ID, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // being killed is how a broker ends here
		close(done)
	}()
	n.cmd, n.done = cmd, done
	return os.WriteFile(n.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// Stop shuts a broker down in its own way and waits until it has ended.
func (n *Node) Stop() error { return n.end(syscall.SIGTERM) }

// Kill ends a broker at once and waits until it has.
func (n *Node) Kill() error { return n.end(syscall.SIGKILL) }

func (n *Node) end(signal syscall.Signal) error {
	n.mu.Lock()
	cmd, done := n.cmd, n.done
	n.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending broker %v: %w", n.ID, err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		<-done
	}
	return os.Remove(n.pidFile())
}

// Pause stops a broker in its tracks: it keeps its connections and says nothing.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume lets a paused broker go on.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd.Process.Signal(s)
}

func (n *Node) ended() bool {
	n.mu.Lock()
	done := n.done
	n.mu.Unlock()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (n *Node) logTail() string {
	f, err := os.Open(n.logFile())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }() // only read
	const maxBytes = 4096
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(size-maxBytes, 0), io.SeekStart)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
