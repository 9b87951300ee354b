package zarr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// TimeDim is the name of the dimension of snapshots, and of its coordinate.
const TimeDim = "time"

// Time says at which steps each simulation has snapshots. It is the zero value where
// a group has none.
type Time struct {
	First, Every int64
	Count        int
}

// String returns the steps in short.
func (t Time) String() string {
	switch t.Count {
	case 0:
		return "no snapshots"
	case 1:
		return strconv.FormatInt(t.First, 10)
	}
	return fmt.Sprintf("%v, %v … %v", t.First, t.First+t.Every, t.First+int64(t.Count-1)*t.Every)
}

// The attributes of the coordinate, by which a group tells its steps without a look
// into the chunk.
const (
	attrFirst = "first"
	attrEvery = "every"
)

// metadata returns that of the coordinate, which has one chunk.
func (t Time) metadata() arrayMetadata {
	shape := []int64{int64(t.Count)}
	m := newArrayMetadata(Int64, shape, shape, []string{TimeDim})
	m.Attributes = map[string]any{attrFirst: t.First, attrEvery: t.Every}
	return m
}

// file returns the chunk of the coordinate.
func (t Time) file() []byte {
	raw := make([]byte, 0, 8*t.Count)
	for k := range int64(t.Count) {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(t.First+k*t.Every))
	}
	return compress(raw)
}

// time returns the steps of the coordinate that has the metadata.
func (m *arrayMetadata) time() (t Time, err error) {
	first, ok := m.Attributes[attrFirst].(float64)
	every, alsoOK := m.Attributes[attrEvery].(float64)
	if !ok || !alsoOK || len(m.Shape) != 1 || m.Shape[0] < 1 {
		return t, errors.New(TimeDim + " is no coordinate of snapshots")
	}
	t = Time{First: int64(first), Every: int64(every), Count: int(m.Shape[0])}
	if err := m.equals(t.metadata()); err != nil {
		return t, fmt.Errorf("%v %w", TimeDim, err)
	}
	return t, nil
}
