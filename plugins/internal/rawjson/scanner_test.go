package rawjson

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var documents = []string{
	``, ` `, `{}`, ` { } `, `{"a":1}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1}{}`, `{"a":1} x`, `{`, `{"a`, `{"a":[1,2`,
	`[]`, `[1,]`, `[,1]`, `[1 2]`, `[[],[{}]]`, `]`, `"x"`, `"\u00e9\n\"\\\/\b\f\r\t"`, `"\x"`, `"\u12g4"`, `"\u123"`, `"\`, `"` + "\n" + `"`, "\"\xff\"", "\"\x00\"", "\"\u2028\"",
	`0`, `-0`, `-`, `01`, `1.`, `.5`, `1.5e`, `1e+`, `1E-07`, `+1`, `0x1`, `1_000`, `NaN`, `Infinity`, `true`, `falsee`, `nul`, `null`,
	`{"a":1,"a":{"b":[2]},"\u0061":3,"b":"]}"}`, "\ufeff{}", "{\"a\":1}\v",
	strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	strings.Repeat(`{"a":`, 9_999) + "[]" + strings.Repeat("}", 9_999), strings.Repeat(`{"a":`, 10_000) + "[]" + strings.Repeat("}", 10_000),
}

// The scanner takes for JSON what encoding/json takes for it.
func TestScanner(t *testing.T) {
	for _, document := range documents {
		checkScanner(t, []byte(document))
	}
}

// Each byte at each place of a string, which the scanner reads eight bytes at a time.
func TestEveryByteInAString(t *testing.T) {
	for place := range 20 {
		for c := range 256 {
			document := []byte(`["` + strings.Repeat("a", 20) + `",1]`)
			document[2+place] = byte(c)
			checkScanner(t, document)
		}
	}
}

func FuzzScanner(f *testing.F) {
	for _, document := range documents {
		if len(document) < 1000 { // long ones would be minimised for minutes
			f.Add([]byte(document))
		}
	}
	f.Fuzz(checkScanner)
}

func checkScanner(t *testing.T, document []byte) {
	s := Scanner{Data: document}
	s.SkipSpace()
	raw, err := s.Value()
	if err == nil && s.Pos < len(document) {
		err = s.Unexpected()
	}
	require.Equal(t, json.Valid(document), err == nil, "%.200q: %v", document, err)
	if err != nil {
		var syntax *SyntaxError
		require.ErrorAs(t, err, &syntax)
		assert.LessOrEqual(t, syntax.Pos, len(document))
		assert.True(t, utf8.ValidString(err.Error()))
		return
	}
	require.Equal(t, bytes.Trim(document, " \t\r\n"), raw)

	got := map[string]string{}
	err = EachMember(document, func(name, raw []byte) {
		got[string(bytes.ToValidUTF8(name, []byte("�")))] = string(raw)
	})
	if raw[0] != '{' {
		require.ErrorContains(t, err, "not a JSON object but "+KindOf(raw).String())
		return
	}
	require.NoError(t, err)
	if !utf8.Valid(document) {
		return // encoding/json merges names that differ in invalid bytes only
	}
	var want map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(document, &want))
	require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
	for name := range want {
		require.Equal(t, string(want[name]), got[name], "of members that come twice, the last counts")
	}
}

func TestSyntaxErrorsSayWhere(t *testing.T) {
	for document, says := range map[string]string{
		`{"a":1,"b":nope}`:        `unexpected 'n' at byte 11`,
		`{"a":[1,2`:               `unexpected end at byte 9`,
		`{"a":"é` + "\x01" + `"}`: `unexpected '\x01' at byte 8`,
		`{"a":1} true`:            `unexpected 't' at byte 8`,
		``:                        `unexpected end at byte 0`,
		"<a>":                     `unexpected '<' at byte 0`,
	} {
		t.Run(document, func(t *testing.T) {
			err := EachMember([]byte(document), func(_, _ []byte) {})
			assert.ErrorContains(t, err, says)
			assert.ErrorContains(t, err, "not valid JSON, must be a JSON object")
			var syntax *SyntaxError
			assert.ErrorAs(t, err, &syntax)
		})
	}
}

func TestMembers(t *testing.T) {
	for document, want := range map[string]struct {
		text string
		ok   bool
	}{
		`{"id":"a"}`:                        {"a", true},
		`{"id":"b\n","id":"a"}`:             {"a", true},
		`{"id":"b","x":1,"\u0069d":"last"}`: {"last", true},
		`{"id":"b","id":null}`:              {},
		`{"\u0069d" : 1.50 }`:               {"1.50", true},
		`{"id":-1e400}`:                     {"-1e400", true},
		`{"id":""}`:                         {"", true},
		`{"id":null}`:                       {},
		`{"id":true}`:                       {},
		`{"id":{"id":"a"}}`:                 {},
		`{"other":{"id":"a"}}`:              {},
		`{}`:                                {},
	} {
		t.Run(document, func(t *testing.T) {
			raws := [][]byte{[]byte("from before")}
			require.NoError(t, Members([]byte(document), []string{"id"}, raws))
			text, ok := Text(raws[0])
			assert.Equal(t, want.ok, ok)
			assert.Equal(t, want.text, text)
		})
	}
	for _, document := range []string{`["id"]`, `{"id":"a`, `{"id":"a"} x`, ``} {
		t.Run(document, func(t *testing.T) {
			require.Error(t, Members([]byte(document), []string{"id"}, make([][]byte, 1)))
		})
	}
}
