// Package kafka holds what the Kafka components share: the connection to the
// brokers and its errors, a consumer that commits an offset only when everything
// before it is confirmed, transactions, and topics that are deleted or recreated.
package kafka

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	fieldSeedBrokers    = "seed_brokers"
	fieldClientID       = "client_id"
	fieldTLS            = "tls"
	fieldSASL           = "sasl"
	fieldMechanism      = "mechanism"
	fieldUsername       = "username"
	fieldPassword       = "password"
	fieldMetadataMaxAge = "metadata_max_age"
)

const (
	mechanismNone        = "none"
	mechanismPlain       = "PLAIN"
	mechanismScramSHA256 = "SCRAM-SHA-256"
	mechanismScramSHA512 = "SCRAM-SHA-512"
)

// metadataMinAge is how soon the client may ask again where partitions are. Its
// own default of 5s would make every move of a leader cost that long.
const metadataMinAge = time.Second

var (
	seedBrokers = fields.ListOf(fields.Text(fieldSeedBrokers).Where("at least one address of a broker",
		`this.string().re_match("[^,\\s]")`, func(s string) bool { return len(SplitList([]string{s})) > 0 }).
		Schema(jsonschema.TextMatching(`[^,\s]`))).NotEmpty()
	clientID  = fields.Text(fieldClientID)
	mechanism = fields.Enum(fieldMechanism, map[string]string{
		mechanismNone:        "No authentication.",
		mechanismPlain:       "The password is sent as it is; use it with TLS only.",
		mechanismScramSHA256: "Salted challenge and response with SHA-256.",
		mechanismScramSHA512: "Salted challenge and response with SHA-512.",
	})
	username       = fields.Text(fieldUsername)
	password       = fields.Secret(fieldPassword)
	metadataMaxAge = fields.Duration(fieldMetadataMaxAge, metadataMinAge)
)

// SeedBrokersField returns the field that names the brokers to start from.
func SeedBrokersField() *service.ConfigField {
	return seedBrokers.Field().
		Description("Addresses of brokers to connect to first, as `host:port`; they name the others. An element may list several, separated by commas.").
		Example([]string{"localhost:9092"}).
		Example([]string{"kafka-1:9092", "kafka-2:9092"}).
		Example([]string{"kafka-1:9092,kafka-2:9092"})
}

// ConnectionFields returns the fields client_id, tls, sasl and metadata_max_age.
func ConnectionFields() []*service.ConfigField {
	return []*service.ConfigField{
		clientID.Field().
			Description("The name under which this client appears in the brokers' logs and quotas.").
			Default("mfn-connect").
			Advanced(),
		fields.Foreign(service.NewTLSToggledField(fieldTLS)),
		service.NewObjectListField(fieldSASL,
			mechanism.Field().
				Description("The mechanism."),
			username.Field().
				Description("The user's name.").
				Default(""),
			password.Field().
				Description("The user's password.").
				Default(""),
		).
			Description("How to authenticate, the preferred mechanism first. Brokers that ask for no authentication get none.").
			Example([]any{map[string]any{"mechanism": mechanismScramSHA512, "username": "mfn", "password": "${KAFKA_PASSWORD}"}}).
			Optional().
			Advanced(),
		metadataMaxAge.Field().
			Description("How often the client asks for topics and partitions: it finds new ones after this time at the latest. Valid: at least 1s.").
			Default("1m").
			Advanced(),
	}
}

// Connection says how to reach the brokers.
type Connection struct {
	Seeds      []string
	ClientID   string
	TLS        *tls.Config // nil for none
	SASL       []sasl.Mechanism
	MaxAge     time.Duration
	clearLogin bool // a password is sent over a connection without TLS
}

// ParseConnection reads SeedBrokersField and ConnectionFields.
func ParseConnection(conf *service.ParsedConfig) (c Connection, err error) {
	var seeds []string
	err = cmp.Or(
		fields.Into(&seeds, seedBrokers, conf),
		fields.Into(&c.ClientID, clientID, conf),
		fields.Into(&c.MaxAge, metadataMaxAge, conf),
	)
	if err != nil {
		return c, err
	}
	if c.Seeds = SplitList(seeds); len(c.Seeds) == 0 {
		return c, fmt.Errorf("%v: at least one broker is required", fieldSeedBrokers)
	}
	tlsConf, enabled, err := conf.FieldTLSToggled(fieldTLS)
	if err != nil {
		return c, fmt.Errorf("%v: %w", fieldTLS, err)
	}
	if enabled {
		c.TLS = tlsConf
	}
	if !conf.Contains(fieldSASL) {
		return c, nil
	}
	list, err := conf.FieldObjectList(fieldSASL)
	if err != nil {
		return c, err
	}
	for i, entry := range list {
		m, err := parseMechanism(entry)
		if err != nil {
			return c, fmt.Errorf("%v.%v.%w", fieldSASL, i, err)
		}
		if m != nil {
			c.SASL = append(c.SASL, m)
			c.clearLogin = c.clearLogin || m.Name() == mechanismPlain && c.TLS == nil
		}
	}
	return c, nil
}

func parseMechanism(conf *service.ParsedConfig) (sasl.Mechanism, error) {
	var name, user, pass string
	err := cmp.Or(
		fields.Into(&name, mechanism, conf),
		fields.Into(&user, username, conf),
		fields.Into(&pass, password, conf),
	)
	if err != nil {
		return nil, err
	}
	if name != mechanismNone && user == "" {
		return nil, fmt.Errorf("%v: %v needs one", fieldUsername, name)
	}
	switch name {
	case mechanismNone:
		return nil, nil
	case mechanismPlain:
		return plain.Auth{User: user, Pass: pass}.AsMechanism(), nil
	case mechanismScramSHA256:
		return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism(), nil
	default:
		return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism(), nil
	}
}

// Options returns the options of a client that connects so and logs to log.
func (c Connection) Options(log *service.Logger) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Seeds...),
		kgo.ClientID(c.ClientID),
		kgo.SoftwareNameAndVersion("mfn-connect", "1"),
		kgo.WithLogger(clientLog{log}),
		kgo.MetadataMaxAge(c.MaxAge),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if len(c.SASL) > 0 {
		opts = append(opts, kgo.SASL(c.SASL...))
	}
	return opts
}

// Error says what an error of connecting means.
func (c Connection) Error(err error) error {
	// Brokers may hang up on a wrong password without a word.
	if len(c.SASL) > 0 && errors.Is(err, io.EOF) {
		err = fmt.Errorf("the broker hung up while authenticating, check sasl: %w", err)
	}
	return fmt.Errorf("connecting to %v: %w", strings.Join(c.Seeds, ", "), Classify(err))
}

// Warn tells of settings that work but are hardly meant.
func (c Connection) Warn(log *service.Logger) {
	if c.clearLogin {
		log.Warn("The SASL password is sent without encryption: mechanism PLAIN without tls")
	}
}

// SplitList splits each element at commas and leaves out what is empty.
func SplitList(elements []string) []string {
	var list []string
	for _, element := range elements {
		for part := range strings.SplitSeq(element, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}
