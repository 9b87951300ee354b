package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const (
	bridge     = "scale"
	hubAddress = "10.77.0.1"
)

// hub is a bridge in this process's namespace. Those of workers connect to it.
type hub struct{ links int }

// link is a network namespace with an address on the bridge.
type link struct{ namespace, device, address string }

func newHub(ctx context.Context) (*hub, error) {
	out, err := exec.CommandContext(ctx, "ip", "-brief", "link").Output()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 1 {
		return nil, fmt.Errorf("this network namespace has %v interfaces, must have lo alone; start it with tests/scale/run.sh", len(lines))
	}
	return &hub{}, commands(ctx,
		"link set lo up",
		"link add "+bridge+" type bridge",
		"address add "+hubAddress+"/24 dev "+bridge,
		"link set "+bridge+" up")
}

// connect makes a namespace with an address.
func (h *hub) connect(ctx context.Context) (link, error) {
	h.links++
	l := link{
		namespace: fmt.Sprintf("mfn-scale-%v-%v", os.Getpid(), h.links),
		device:    fmt.Sprintf("worker%v", h.links),
		address:   fmt.Sprintf("10.77.0.%v", 10+h.links),
	}
	inside := "-n " + l.namespace + " "
	return l, commands(ctx,
		"netns add "+l.namespace,
		"link add "+l.device+" type veth peer name eth0 netns "+l.namespace,
		"link set "+l.device+" master "+bridge+" up",
		inside+"link set lo up",
		inside+"address add "+l.address+"/24 dev eth0",
		inside+"link set eth0 up")
}

// cut takes the namespace off the bridge, and join puts it back.
func (l link) cut(ctx context.Context) error  { return commands(ctx, "link set "+l.device+" down") }
func (l link) join(ctx context.Context) error { return commands(ctx, "link set "+l.device+" up") }

// remove removes the namespace, with its device.
func (l link) remove() error { return commands(context.Background(), "netns delete "+l.namespace) }

func commands(ctx context.Context, all ...string) error {
	for _, arguments := range all {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", arguments, err, out)
		}
	}
	return nil
}
