package tracker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// A record is stored as a format, four fields and a CRC-32 of its key and of
// all that precedes, in big endian.
const (
	recordFormat = 1
	recordSize   = 1 + 3*8 + len(files.Sum{}) + 4
)

func (r Record) encode(path string) []byte {
	b := make([]byte, 0, recordSize)
	b = append(b, recordFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(r.ModTime))
	b = binary.BigEndian.AppendUint64(b, r.Inode)
	b = append(b, r.Sum[:]...)
	return binary.BigEndian.AppendUint32(b, checksum(path, b))
}

func decode(path string, b []byte) (Record, error) {
	if len(b) != recordSize {
		return Record{}, fmt.Errorf("%v bytes long, want %v", len(b), recordSize)
	}
	body := b[:recordSize-4]
	if binary.BigEndian.Uint32(b[recordSize-4:]) != checksum(path, body) {
		return Record{}, errors.New("wrong checksum")
	}
	if body[0] != recordFormat {
		return Record{}, fmt.Errorf("unknown format %v", body[0])
	}
	return Record{
		Version: files.Version{
			Size:    int64(binary.BigEndian.Uint64(body[1:])),
			ModTime: int64(binary.BigEndian.Uint64(body[9:])),
			Inode:   binary.BigEndian.Uint64(body[17:]),
		},
		Sum: files.Sum(body[25:]),
	}, nil
}

func checksum(path string, body []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(path)), crc32.IEEETable, body)
}
