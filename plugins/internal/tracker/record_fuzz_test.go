package tracker

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// FuzzRecord stores records and reads them: a record comes back as it was,
// under its own path alone, and no other bytes are one.
func FuzzRecord(f *testing.F) {
	sound := Record{Version: files.Version{Size: 7, ModTime: -1, Inode: 1 << 63}, Sum: files.Sum{1, 2, 3}}.encode("a/b.json")
	f.Add("a/b.json", int64(0), int64(1), uint64(2), []byte("sum"), sound)
	f.Add("", int64(-1), int64(-1), ^uint64(0), []byte{}, []byte{})
	f.Add("a/b.json", int64(1), int64(1), uint64(1), []byte(nil), sound[1:])
	f.Add("\xff\x00", int64(1)<<62, int64(1), uint64(1), []byte("more than sixteen bytes"), append([]byte{2}, sound[1:]...))
	f.Fuzz(func(t *testing.T, path string, size, modTime int64, inode uint64, sum, stored []byte) {
		r := Record{Version: files.Version{Size: size, ModTime: modTime, Inode: inode}}
		copy(r.Sum[:], sum)
		got, err := decode(path, r.encode(path))
		require.NoError(t, err)
		assert.Equal(t, r, got)
		for at := range recordSize { // a bit that is turned over is always noticed
			b := r.encode(path)
			b[at] ^= 1 << (at % 8)
			_, err := decode(path, b)
			require.Error(t, err)
		}
		_, err = decode(path+"x", r.encode(path))
		require.Error(t, err)

		if got, err := decode(path, stored); err == nil {
			assert.Equal(t, stored, got.encode(path))
		}
	})
}
