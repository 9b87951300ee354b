package tracker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// The parts of a bbolt file: pages. The first two hold the roots of the newest two
// states.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	elementSize = 16
	metaSize    = 64
	bucketSize  = 16 // root 8, sequence 8

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)
	// maxDepth is more than a tree of any size has.
	maxDepth = 64
)

var order = binary.NativeEndian

// verify reports what is wrong with the content of a bbolt file. If it finds
// nothing, reading and writing the file cannot bring the process down. The store
// itself does not promise that.
func verify(content []byte) error {
	m, err := newestMeta(content)
	if err != nil {
		return err
	}
	v := &verifier{content: content, meta: m, seen: map[uint64]bool{0: true, 1: true}}
	if err := v.bucket(m.root, 0); err != nil {
		return err
	}
	return v.freelist()
}

type meta struct {
	pageSize, root, freelist, pages, txid uint64
}

func newestMeta(content []byte) (newest meta, err error) {
	found := false
	for _, pageSize := range []int{4096, 1024, 2048, 8192, 16384, 32768, 65536} {
		for page := range 2 {
			m, ok := metaAt(content, page*pageSize)
			if !ok || (page == 1 && m.pageSize != uint64(pageSize)) {
				continue
			}
			if found && m.pageSize != newest.pageSize {
				return newest, errors.New("two page sizes")
			}
			if !found || m.txid > newest.txid {
				newest, found = m, true
			}
		}
	}
	if !found {
		return newest, errors.New("neither root is valid")
	}
	if newest.pageSize < 1024 || newest.pageSize > 65536 || newest.pageSize&(newest.pageSize-1) != 0 {
		return newest, fmt.Errorf("page size %v", newest.pageSize)
	}
	if newest.pages > uint64(len(content))/newest.pageSize {
		return newest, errors.New("the file is cut off")
	}
	return newest, nil
}

func metaAt(content []byte, page int) (meta, bool) {
	if page+pageHeader+metaSize > len(content) {
		return meta{}, false
	}
	b := content[page+pageHeader:][:metaSize]
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion {
		return meta{}, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // never fails
	return meta{
		pageSize: uint64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}, sum.Sum64() == order.Uint64(b[56:])
}

type verifier struct {
	content []byte
	meta    meta
	seen    map[uint64]bool // the pages in use
	floor   []byte          // what the next key must not be below, if set
}

// page returns a page with all that belongs to it, and claims it.
func (v *verifier) page(id uint64) (flags, count uint16, page []byte, err error) {
	size := v.meta.pageSize
	if id < 2 || id >= v.meta.pages || (id+1)*size > uint64(len(v.content)) {
		return 0, 0, nil, fmt.Errorf("page %v is outside the file", id)
	}
	page = v.content[id*size:]
	if own := order.Uint64(page); own != id {
		return 0, 0, nil, fmt.Errorf("page %v says that it is page %v", id, own)
	}
	overflow := uint64(order.Uint32(page[12:]))
	if id+overflow >= v.meta.pages || (1+overflow)*size > uint64(len(page)) {
		return 0, 0, nil, fmt.Errorf("page %v extends beyond the file", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return 0, 0, nil, fmt.Errorf("page %v is used twice", i)
		}
		v.seen[i] = true
	}
	return order.Uint16(page[8:]), order.Uint16(page[10:]), page[:(1+overflow)*size], nil
}

// bucket checks a tree, whose keys must be in order.
func (v *verifier) bucket(root uint64, depth int) error {
	var last []byte
	return v.tree(root, depth, &last)
}

func (v *verifier) tree(id uint64, depth int, last *[]byte) error {
	if depth > maxDepth {
		return errors.New("the tree is too deep")
	}
	flags, count, page, err := v.page(id)
	if err != nil {
		return err
	}
	switch flags {
	case leafPage:
		return v.leaf(page, int(count), depth, last)
	case branchPage:
		return v.branch(id, page, int(count), depth, last)
	default:
		return fmt.Errorf("page %v is of the unknown kind %#x", id, flags)
	}
}

func (v *verifier) branch(id uint64, page []byte, count, depth int, last *[]byte) error {
	if count == 0 || pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("page %v holds %v branches", id, count)
	}
	for i := range count {
		at := pageHeader + i*elementSize
		key, err := extent(page, at, order.Uint32(page[at:]), order.Uint32(page[at+4:]))
		if err != nil || len(key) == 0 {
			return fmt.Errorf("page %v: branch %v is outside the page", id, i)
		}
		if *last != nil && bytes.Compare(key, *last) <= 0 {
			return fmt.Errorf("page %v: branch %v is out of order", id, i)
		}
		if err := v.above(key); err != nil {
			return fmt.Errorf("page %v: branch %v: %w", id, i, err)
		}
		v.floor = key
		before := *last
		if err := v.tree(order.Uint64(page[at+8:]), depth+1, last); err != nil {
			return err
		}
		if bytes.Equal(*last, before) || bytes.Compare(*last, key) < 0 {
			return fmt.Errorf("page %v: branch %v does not lead to its keys", id, i)
		}
	}
	return nil
}

func (v *verifier) leaf(page []byte, count, depth int, last *[]byte) error {
	if pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("a page holds %v elements", count)
	}
	for i := range count {
		at := pageHeader + i*elementSize
		flags, pos := order.Uint32(page[at:]), order.Uint32(page[at+4:])
		keySize, valueSize := order.Uint32(page[at+8:]), order.Uint32(page[at+12:])
		key, err := extent(page, at, pos, keySize)
		if err != nil || len(key) == 0 {
			return fmt.Errorf("the key of element %v is outside its page", i)
		}
		// The key is within the page, so the sum does not overflow.
		value, err := extent(page, at, pos+keySize, valueSize)
		if err != nil {
			return fmt.Errorf("the value of element %v is outside its page", i)
		}
		if *last != nil && bytes.Compare(key, *last) <= 0 {
			return fmt.Errorf("element %v is out of order", i)
		}
		if err := v.above(key); err != nil {
			return fmt.Errorf("element %v: %w", i, err)
		}
		*last = key
		switch flags {
		case 0:
		case 1:
			err = v.bucketValue(value, depth)
		default:
			err = fmt.Errorf("element %v is of the unknown kind %#x", i, flags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucketValue checks a bucket, whose root is a page of its own, or is in the
// value itself if it is small.
func (v *verifier) bucketValue(value []byte, depth int) error {
	if len(value) < bucketSize {
		return errors.New("a bucket is cut off")
	}
	if root := order.Uint64(value); root != 0 {
		return v.bucket(root, depth+1)
	}
	inline := value[bucketSize:]
	if depth >= maxDepth || len(inline) < pageHeader || order.Uint16(inline[8:]) != leafPage {
		return errors.New("a small bucket is no leaf")
	}
	var last []byte
	return v.leaf(inline, int(order.Uint16(inline[10:])), maxDepth, &last)
}

// above checks that a key is not below the one that its branch has.
func (v *verifier) above(key []byte) error {
	if v.floor != nil && bytes.Compare(key, v.floor) < 0 {
		return errors.New("the key is below that of its branch")
	}
	v.floor = nil
	return nil
}

// extent returns size bytes of a page, pos after the element at.
func extent(page []byte, at int, pos, size uint32) ([]byte, error) {
	start := uint64(at) + uint64(pos)
	if end := start + uint64(size); end > uint64(len(page)) {
		return nil, errors.New("outside the page")
	}
	return page[start:][:size], nil
}

// freelist checks the list of pages that are free to be used.
func (v *verifier) freelist() error {
	if v.meta.freelist == noFreelist {
		return nil
	}
	flags, count16, page, err := v.page(v.meta.freelist)
	if err != nil {
		return err
	}
	if flags != freelistPage {
		return fmt.Errorf("page %v is no list of free pages", v.meta.freelist)
	}
	ids, count := page[pageHeader:], uint64(count16)
	if count == 0xFFFF {
		if len(ids) < 8 {
			return errors.New("the list of free pages is cut off")
		}
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return errors.New("the list of free pages is cut off")
	}
	for i := range count {
		id := order.Uint64(ids[i*8:])
		if id < 2 || id >= v.meta.pages || v.seen[id] {
			return fmt.Errorf("page %v is free and in use", id)
		}
		v.seen[id] = true
	}
	return nil
}
