package input

import "github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"

// expect tells the status of a file that is read, and of those in the queue, if the input ends by itself.
func (in *fileInput) expect(f dirwatch.File) {
	if in.exitWhenEmpty {
		in.state.taken += f.Size
		in.status.Expect("bytes", in.state.taken+in.state.queue.Bytes())
	}
}

// progressed returns the function that tells the status what is done, nil if the
// input goes on for ever.
func (in *fileInput) progressed() func(int64) {
	if !in.exitWhenEmpty {
		return nil
	}
	return in.status.Progressed
}
