package input

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// fileFormat is a scanner, and what it is to make of a file by a plain reading.
type fileFormat struct {
	scanner string
	pack    func(content string) string // makes a file; nil where all bytes are one
	read    fileReader
	json    bool // messages are JSON: their values are compared, not their bytes
}

// fileReader returns the messages of a file, and the error after the last.
type fileReader func(file io.Reader) ([]string, error)

func fileFormats() []fileFormat {
	return []fileFormat{
		{scanner: "to_the_end: {}", read: wholeFile},
		{scanner: "lines: {}", read: fileLines(1 << 16)},
		{scanner: "lines: { max_buffer_size: 16 }", read: fileLines(16)},
		{scanner: "lines: { custom_delimiter: ab, omit_empty: true }", read: fileParts},
		{scanner: "chunker: { size: 8 }", read: fileChunks},
		{scanner: "re_match: { pattern: '#' }", read: fileSections},
		{scanner: "skip_bom: { into: { chunker: { size: 8 } } }", read: within(skipMark, fileChunks)},
		{scanner: "csv: {}", read: fileRows(true), json: true},
		{scanner: "csv: { parse_header_row: false }", read: fileRows(false), json: true},
		{scanner: "json_array: {}", read: fileElements, json: true},
		{scanner: "json_documents: {}", read: fileDocuments, json: true},
		{scanner: "tar: {}", pack: tarred, read: fileEntries},
		{scanner: "decompress: { algorithm: gzip }", pack: gzipped, read: within(gunzip, unmarked(wholeFile))},
		{scanner: "decompress: { algorithm: pgzip, into: { chunker: { size: 8 } } }", pack: gzipped, read: within(pgunzip, unmarked(fileChunks))},
		{scanner: "decompress: { algorithm: gzip, into: { csv: {} } }", pack: gzipped, read: within(gunzip, unmarked(fileRows(true))), json: true},
		{scanner: "decompress: { algorithm: zlib, into: { json_array: {} } }", pack: zlibbed, read: within(unzlib, unmarked(fileElements)), json: true},
		{
			scanner: "decompress: { algorithm: flate, into: { tar: {} } }",
			pack:    func(content string) string { return deflated(tarred(content)) }, read: within(inflate, unmarked(fileEntries)),
		},
		{scanner: "decompress: { algorithm: bzip2, into: { lines: {} } }", read: within(bunzip, unmarked(fileLines(1<<16)))},
	}
}

func wholeFile(file io.Reader) ([]string, error) {
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	return []string{string(content)}, nil
}

// fileLines are the lines of a file. Each must be shorter than limit.
func fileLines(limit int) fileReader {
	return func(file io.Reader) (lines []string, err error) {
		content, err := io.ReadAll(file)
		for rest := string(content); rest != ""; {
			line, after, _ := strings.Cut(rest, "\n")
			if len(line) >= limit {
				return lines, errors.New("too long")
			}
			lines, rest = append(lines, strings.TrimSuffix(line, "\r")), after
		}
		return lines, err
	}
}

// fileParts are what stands between delimiters.
func fileParts(file io.Reader) (parts []string, err error) {
	content, err := io.ReadAll(file)
	for part := range strings.SplitSeq(string(content), "ab") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts, err
}

func fileChunks(file io.Reader) (chunks []string, err error) {
	content, err := io.ReadAll(file)
	for rest := string(content); rest != ""; {
		n := min(8, len(rest))
		if err != nil && n < 8 {
			break // nothing is made of what may not be all
		}
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	return chunks, err
}

// fileSections begin with #, all but the first.
func fileSections(file io.Reader) (sections []string, err error) {
	content, err := io.ReadAll(file)
	for i, section := range strings.Split(string(content), "#") {
		if i > 0 {
			section = "#" + section
		}
		if section != "" {
			sections = append(sections, section)
		}
	}
	return sections, err
}

func skipMark(file io.Reader) (io.Reader, error) {
	content, err := io.ReadAll(file)
	for _, mark := range []string{"\x00\x00\xfe\xff", "\xff\xfe\x00\x00", "\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
		if rest, ok := bytes.CutPrefix(content, []byte(mark)); ok {
			return bytes.NewReader(rest), err
		}
	}
	return bytes.NewReader(content), err
}

func fileRows(header bool) fileReader {
	return func(file io.Reader) (rows []string, err error) {
		var names []string
		for r := csv.NewReader(file); ; {
			cells, err := r.Read()
			switch {
			case errors.Is(err, io.EOF):
				return rows, nil
			case err != nil:
				return rows, err
			case !header:
				rows = append(rows, jsonOf(cells))
				continue
			case names == nil:
				names = cells
				continue
			}
			row := map[string]string{}
			for i, cell := range cells {
				row[names[i]] = cell
			}
			rows = append(rows, jsonOf(row))
		}
	}
}

// fileElements are the elements of arrays: of one or more.
func fileElements(file io.Reader) (elements []string, err error) {
	decoder := json.NewDecoder(file)
	for n := 0; ; n++ {
		var array []json.RawMessage
		if err := decoder.Decode(&array); errors.Is(err, io.EOF) && n > 0 {
			return elements, nil
		} else if err != nil {
			return nil, err
		} else if array == nil {
			return nil, errors.New("null is no array")
		}
		for _, element := range array {
			elements = append(elements, string(element))
		}
	}
}

func fileDocuments(file io.Reader) (documents []string, err error) {
	decoder := json.NewDecoder(file)
	for {
		var document any // as a float64, which is how this scanner reads a number
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return documents, err
		}
		documents = append(documents, jsonOf(document))
	}
}

func fileEntries(file io.Reader) (entries []string, err error) {
	for archive := tar.NewReader(file); ; {
		if _, err := archive.Next(); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return entries, err
		}
		entry, err := io.ReadAll(archive)
		if err != nil {
			return entries, err
		}
		entries = append(entries, string(entry))
	}
}

// within reads what open finds in a file. One that is empty holds nothing.
func within(open func(io.Reader) (io.Reader, error), read fileReader) fileReader {
	return func(file io.Reader) ([]string, error) {
		inner, err := open(file)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return read(inner)
	}
}

// unmarked reads what follows a byte-order mark, if there is one.
func unmarked(read fileReader) fileReader {
	return func(file io.Reader) ([]string, error) {
		buffered := bufio.NewReader(file)
		if start, _ := buffered.Peek(3); string(start) == "\xef\xbb\xbf" {
			_, _ = buffered.Discard(3)
		}
		return read(buffered)
	}
}

func gunzip(r io.Reader) (io.Reader, error)  { return gzip.NewReader(r) }
func unzlib(r io.Reader) (io.Reader, error)  { return zlib.NewReader(r) }
func inflate(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil }
func bunzip(r io.Reader) (io.Reader, error)  { return bzip2.NewReader(r), nil }

// pgunzip reads as pgzip does: it takes a file for whole although its last checksum is
// missing.
func pgunzip(file io.Reader) (io.Reader, error) {
	raw, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	members := bufio.NewReader(bytes.NewReader(raw))
	z, err := gzip.NewReader(members)
	var last []byte
	for err == nil {
		z.Multistream(false)
		if last, err = io.ReadAll(z); err == nil {
			err = z.Reset(members)
		}
	}
	whole := binary.LittleEndian.AppendUint32(slices.Clone(raw), crc32.ChecksumIEEE(last))
	whole = binary.LittleEndian.AppendUint32(whole, uint32(len(last)))
	if z, err := gzip.NewReader(bytes.NewReader(whole)); err == nil {
		if content, err := io.ReadAll(z); err == nil {
			return bytes.NewReader(content), nil
		}
	}
	return gunzip(bytes.NewReader(raw))
}

func gzipped(content string) string {
	return packed(content, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zlibbed(content string) string {
	return packed(content, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

func deflated(content string) string {
	return packed(content, func(w io.Writer) io.WriteCloser {
		z, err := flate.NewWriter(w, flate.BestSpeed)
		if err != nil {
			panic(err) // of a level that does not exist
		}
		return z
	})
}

// packed is a content in two pieces, so that a file has more than one block.
func packed(content string, writer func(io.Writer) io.WriteCloser) string {
	var file bytes.Buffer
	for _, piece := range []string{content[:len(content)/2], content[len(content)/2:]} {
		if piece == "" && file.Len() > 0 {
			break
		}
		w := writer(&file)
		if _, err := io.WriteString(w, piece); err != nil {
			panic(err) // a buffer takes everything
		}
		if err := w.Close(); err != nil {
			panic(err)
		}
	}
	return file.String()
}

// tarred is an archive of two files.
func tarred(content string) string {
	var file bytes.Buffer
	w := tar.NewWriter(&file)
	for _, piece := range []string{content[:len(content)/2], content[len(content)/2:]} {
		err := w.WriteHeader(&tar.Header{Name: "piece", Size: int64(len(piece)), Mode: 0o600})
		if err == nil {
			_, err = io.WriteString(w, piece)
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return file.String()
}

func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // of what was read from JSON or CSV
	}
	return string(text)
}

// disposals are the settings that say what becomes of a file.
var disposals = []string{"auto_delete: true", "move_to: %v", "exit_when_empty: true"}

// confirmedRun runs a batch job of an mfn_file input to its end, and returns the
// confirmed messages by the paths of their files. The output rejects the message
// of this number, which comes again.
func confirmedRun(t *testing.T, dir, fields string, rejects int) (map[string][]string, string) {
	t.Helper()
	var mu sync.Mutex
	confirmed, count := map[string][]string{}, 0
	s := streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML(fmt.Sprintf("mfn_file:\n  directory: %q\n  %v", dir, strings.ReplaceAll(fields, "\n", "\n  "))))
		require.NoError(t, b.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if count++; count == rejects {
				return errors.New("not now")
			}
			content, err := m.AsBytes()
			if err != nil {
				return err
			}
			path, _ := m.MetaGet("path")
			confirmed[path] = append(confirmed[path], string(content))
			return nil
		}))
	})
	s.AwaitEnd(t)
	mu.Lock()
	defer mu.Unlock()
	return confirmed, s.Logs.String()
}

// FuzzFile reads files of any bytes as each format: what a plain reader makes of
// a file is what comes out, once; a file that is not of the format is refused by
// its name and stays, and any other ends where it should.
func FuzzFile(f *testing.F) {
	formats := fileFormats()
	for k := range formats {
		f.Add(k, k%3, "a,b\n1,\"2\"\n", `[1,{"a":2.50}] [3]`, true, uint(1<<15), 2)
		f.Add(k, k%3, "", "\xef\xbb\xbf#one\r\n##ab\n\nabab", true, uint(100), 0)
		f.Add(k, (k+1)%3, `[1,2`, "a\n\"", false, uint(1<<15), 1)
	}
	f.Fuzz(func(t *testing.T, format, ending int, first, second string, pack bool, damage uint, rejects int) {
		form := formats[uint(format)%uint(len(formats))]
		ending = int(uint(ending) % uint(len(disposals)))
		parent := t.TempDir()
		dir, done := filepath.Join(parent, "in"), filepath.Join(parent, "done")
		contents := map[string]string{filepath.Join("b", "a.txt"): first, "c.txt": second}
		for name, content := range contents {
			if pack && form.pack != nil {
				content = damaged(form.pack(content), damage)
			}
			contents[name] = content
			put(t, dir, filepath.ToSlash(name), content)
		}
		fields := fmt.Sprintf("pattern: '**/*.txt'\nscanner: { %v }\ntracker: %q\n%v", form.scanner, filepath.Join(parent, "tracker.db"), fileJob)
		if ending < 2 {
			fields += strings.ReplaceAll(disposals[ending], "%v", done)
		}
		confirmed, logs := confirmedRun(t, dir, fields, rejects)

		var refused []string
		for name, content := range contents {
			path := filepath.Join(dir, name)
			want, err := unmarked(form.read)(strings.NewReader(content))
			got := confirmed[path]
			delete(confirmed, path)
			if form.json {
				want, got = canonical(t, want), canonical(t, got)
			}
			if err == nil || !strings.Contains(form.scanner, "json_array") { // a plain reader takes only whole arrays
				assert.ElementsMatch(t, want, got, "%v of %q", form.scanner, content)
			}
			at := path
			switch {
			case err != nil:
				refused = append(refused, path)
				assert.True(t, refusedInLogs(logs, path), "%v of %q: %v\n%v", form.scanner, content, err, logs)
			case ending == 0:
				at = ""
			case ending == 1:
				at = filepath.Join(done, name)
			}
			if at != path {
				assert.False(t, exists(t, path), "%v of %q", form.scanner, content)
			}
			if at != "" {
				still, err := os.ReadFile(at)
				require.NoError(t, err, "%v of %q", form.scanner, content)
				assert.Equal(t, content, string(still))
			}
		}
		assert.Empty(t, confirmed, "messages of no file")
		assert.Equal(t, len(refused), strings.Count(logs, "File is refused, and left"), "%v of %q: %v", form.scanner, contents, logs)

		again, _ := confirmedRun(t, dir, fields, 0)
		for _, path := range refused {
			delete(again, path)
		}
		assert.Empty(t, again, "what is done is done")
	})
}

// refusedInLogs says whether the logs tell that the scanner refused a file.
func refusedInLogs(logs, path string) bool {
	for line := range strings.Lines(logs) {
		if strings.Contains(line, "File is refused, and left") && strings.Contains(line, "path="+path) && strings.Contains(line, "scanner: ") {
			return true
		}
	}
	return false
}

// damaged is a file with a bit that is turned over, or that is cut off there.
func damaged(file string, at uint) string {
	if at/2 >= uint(len(file)) {
		return file
	}
	if at%2 == 0 {
		return file[:at/2]
	}
	raw := []byte(file)
	raw[at/2] ^= 1 << (at % 8)
	return string(raw)
}

// canonical writes JSON in one way.
func canonical(t *testing.T, texts []string) (same []string) {
	t.Helper()
	for _, text := range texts {
		var value any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&value), text)
		same = append(same, jsonOf(value))
	}
	return same
}

// What a scanner has of a file that turns out to have changed, such as the part
// of a line before the end of a chunk, is no message.
func TestFileThatChangesWhileItIsReadMakesNoHalfMessage(t *testing.T) {
	dir := t.TempDir()
	line := strings.Repeat("x", 999) + "\n" // which no chunk ends with
	put(t, dir, "a.txt", strings.Repeat(line, 2*fileChunk/len(line)))
	held := newGate()
	r := runFile(t, dir, "pattern: '*.txt'\nscanner: { lines: {} }\nauto_delete: true\n"+fileAtOnce, held.pass)
	await.Until(t, func() bool { return len(r.contents(t)) > 0 }, "the first line")
	changed, err := os.OpenFile(filepath.Join(dir, "a.txt"), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = changed.WriteString(line)
	require.NoError(t, errors.Join(err, changed.Close()))
	close(held.opened)
	await.Until(t, func() bool { return !exists(t, filepath.Join(dir, "a.txt")) }, "the deletion")
	for _, content := range r.contents(t) {
		require.Equal(t, strings.TrimSuffix(line, "\n"), content)
	}
}

// An array that is cut off between two of its elements is not taken for a whole
// one: the rest would be lost with the file.
func TestFileThatIsCutOffIsRefused(t *testing.T) {
	for _, content := range []string{`[1,2`, `[1,2,`, `[`, ``, `[1] [2`} {
		dir := t.TempDir()
		put(t, dir, "a.json", content)
		r := runFile(t, dir, "auto_delete: true\nscanner: { json_array: {} }\n"+fileJob, nil)
		r.AwaitEnd(t)
		assert.Equal(t, []string{"a.json"}, names(t, dir), content)
		assert.True(t, refusedInLogs(r.Logs.String(), filepath.Join(dir, "a.json")), content)
	}
}
