package fields

// HidePath hides the path of a URL, which may be a secret, in echo and errors, too.
func (s Scalar[T]) HidePath() Scalar[T] {
	s.path = true
	return s
}

// marks are the characters by which a URL that may hold a secret is told.
func (s Scalar[T]) marks() string {
	if s.path {
		return "@?/"
	}
	return "@?"
}

// pathScrubber is what follows urlScrubber.
func (s Scalar[T]) pathScrubber() string {
	if !s.path {
		return ""
	}
	return `.re_replace_all("^([^/]*//[^/?#]*)/[^?]+", "$1/xxxxx").re_replace_all("^([^/?]*)/[^/?][^?]*", "$1/xxxxx")`
}
