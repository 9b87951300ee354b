package kafka

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Reach watches whether the brokers can be reached: the client tries again and
// again by itself and says so only in its log.
type Reach struct {
	// Lost is called when a connection fails for the first time since one
	// succeeded, Found when one succeeds again. Neither may block.
	Lost  func(error)
	Found func()

	mu  sync.Mutex
	err error
}

// OnBrokerConnect is called by the client after each attempt to connect.
func (r *Reach) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	r.mu.Lock()
	before := r.err
	r.err = err
	r.mu.Unlock()
	switch {
	case before == nil && err != nil && r.Lost != nil:
		r.Lost(err)
	case before != nil && err == nil && r.Found != nil:
		r.Found()
	}
}

// Err returns the error of the last attempt to connect, nil if it succeeded.
func (r *Reach) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
