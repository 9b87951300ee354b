package zarr

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// maxChunk bounds what a chunk may be decompressed to: one that was tampered with
// takes no more.
const maxChunk = 1 << 30

var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedFastest)) // with constant options
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxChunk))
)

// compress returns the file of a chunk.
func compress(raw []byte) []byte { return encoder.EncodeAll(raw, make([]byte, 0, len(raw)/2+64)) }

// values are those of a chunk: the bytes of each of its simulations.
type values struct {
	width int // in bytes of a simulation, 0 for texts
	raw   []byte
	texts []string
}

// newValues returns the values of a chunk that holds nothing yet.
func (a *Array) newValues() *values {
	if a.Kind == String {
		return &values{texts: make([]string, a.block())}
	}
	return &values{width: a.Elements() * a.Kind.width(), raw: missing(a.Kind, int(a.block())*a.Elements())}
}

// set sets the value of a simulation, by its place in the chunk.
func (v *values) set(place int64, value []byte) {
	if v.width == 0 {
		v.texts[place] = string(value)
		return
	}
	copy(v.raw[int(place)*v.width:], value)
}

// encode returns the file of the chunk.
func (v *values) encode() []byte {
	if v.width > 0 {
		return compress(v.raw)
	}
	raw := binary.LittleEndian.AppendUint32(nil, uint32(len(v.texts)))
	for _, text := range v.texts {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(text)))
		raw = append(raw, text...)
	}
	return compress(raw)
}

// decode reads the file of a chunk.
func (a *Array) decode(file []byte) (*values, error) {
	v := a.newValues()
	raw, err := decoder.DecodeAll(file, make([]byte, 0, len(v.raw)))
	if err != nil {
		return nil, fmt.Errorf("it is not compressed with zstd: %w", err)
	}
	if v.width > 0 {
		if len(raw) != len(v.raw) {
			return nil, fmt.Errorf("it has %v bytes, must have %v", len(raw), len(v.raw))
		}
		v.raw = raw
		return v, nil
	}
	return v, v.readTexts(raw)
}

// readTexts reads the texts of the codec vlen-utf8: how many there are, then the
// length and the bytes of each.
func (v *values) readTexts(raw []byte) error {
	errCutOff := errors.New("its texts are cut off")
	length := func() (n int, ok bool) {
		if len(raw) < 4 {
			return 0, false
		}
		n = int(binary.LittleEndian.Uint32(raw))
		raw = raw[4:]
		return n, true
	}
	n, ok := length()
	if !ok || n != len(v.texts) {
		return fmt.Errorf("it has %v texts, must have %v", n, len(v.texts))
	}
	for k := range v.texts {
		n, ok := length()
		if !ok || n > len(raw) {
			return errCutOff
		}
		v.texts[k], raw = string(raw[:n]), raw[n:]
	}
	return nil
}
