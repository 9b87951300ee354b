package cli

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// npyAlignment is where the data of a NumPy file may begin.
const npyAlignment = 64

// npy returns n × n cells, numbers of 64 bits in little-endian order, as a NumPy file
// of version 1.0.
func npy(cells []byte, n int) []byte {
	const magic = "\x93NUMPY\x01\x00"
	header := fmt.Sprintf("{'descr': '<f8', 'fortran_order': False, 'shape': (%v, %v), }", n, n)
	prefix := len(magic) + 2 // and the header's length
	padding := npyAlignment - (prefix+len(header)+1)%npyAlignment
	header += strings.Repeat(" ", padding) + "\n"

	b := make([]byte, 0, prefix+len(header)+len(cells))
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	b = append(b, header...)
	return append(b, cells...)
}
