package kafka

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ConnHook watches whether the brokers can be reached: the client tries again and
// again by itself and says so only in its log.
type ConnHook struct {
	// OnDown is called when a connection fails for the first time since one
	// succeeded, OnUp when one succeeds again. Neither may block.
	OnDown func(error)
	OnUp   func()

	mu  sync.Mutex
	err error
}

// OnBrokerConnect is called by the client after each attempt to connect.
func (r *ConnHook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	r.mu.Lock()
	before := r.err
	r.err = err
	r.mu.Unlock()
	switch {
	case before == nil && err != nil && r.OnDown != nil:
		r.OnDown(err)
	case before != nil && err == nil && r.OnUp != nil:
		r.OnUp()
	}
}

// Err returns the error of the last attempt to connect, nil if it succeeded.
func (r *ConnHook) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
