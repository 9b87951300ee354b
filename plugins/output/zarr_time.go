package output

import (
	"errors"
	"fmt"
	"math"

	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
	"github.com/mfn-connect/mfn-connect/plugins/internal/zarr"
)

const (
	// snapshots is the object of a result that holds planes along the way.
	snapshots       = "snapshots"
	snapshotsPrefix = snapshots + "_" // of the names of its arrays
)

// addSnapshots adds the planes along the way. Their steps become the coordinate of
// time.
func (r *zarrRecord) addSnapshots(raw []byte) error {
	if raw[0] != '{' {
		return r.values.add("", "", []byte(snapshots), raw)
	}
	var failed error
	err := rawjson.EachMember(raw, func(name, value []byte) {
		switch {
		case failed != nil:
		case string(name) == "steps":
			r.time, failed = timeOf(value)
		default:
			failed = r.values.add(snapshots, snapshotsPrefix, name, value)
		}
	})
	return errors.Join(err, failed)
}

// timeOf reads the steps of snapshots, which are equally spaced.
func timeOf(raw []byte) (t zarr.Time, err error) {
	l := listReader{Scanner: rawjson.Scanner{Data: raw}}
	err = l.readAll()
	if err == nil && len(l.shape) == 1 {
		t = zarr.Time{First: int64(l.values[0]), Count: len(l.values)}
		if t.Count > 1 {
			t.Every = int64(l.values[1]) - t.First
		}
		for k, step := range l.values {
			if step != float64(t.First+int64(k)*t.Every) || t.Every < 0 || math.Abs(step) >= 1<<53 {
				err = errors.New("not equally spaced")
			}
		}
	}
	if err != nil || len(l.shape) != 1 {
		return t, fmt.Errorf("snapshots.steps: %v is not allowed, must be a list of whole numbers, each greater than the one before by the same", text.Shorten(string(raw), 60))
	}
	return t, nil
}

// checkTime refuses snapshots that do not agree with their steps. Places holds the
// names of all arrays.
func (r *zarrRecord) checkTime(places map[string]int) error {
	if r.time.Count == 0 {
		return nil
	}
	if _, there := places[zarr.TimeDim]; there {
		return fmt.Errorf("%v: this is the name of the steps of snapshots: exclude the member, or give it another name", zarr.TimeDim)
	}
	for _, v := range r.values.found {
		if v.within == snapshots && len(v.shape) > 0 && v.shape[0] != r.time.Count {
			return fmt.Errorf("%v: it has %v snapshots, snapshots.steps has %v", v.name, v.shape[0], r.time.Count)
		}
	}
	return nil
}
