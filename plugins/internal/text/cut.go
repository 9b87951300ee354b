// Package text cuts texts.
package text

import "unicode/utf8"

// Cut returns the beginning of a text, of at most so many bytes, without cutting a
// character.
func Cut[T ~string | ~[]byte](text T, maxBytes int) T {
	if len(text) <= maxBytes {
		return text
	}
	end := max(0, maxBytes)
	// In what is not UTF-8, no character is longer than one that is.
	for back := 0; back < utf8.UTFMax && end > 0 && !utf8.RuneStart(text[end]); back++ {
		end--
	}
	return text[:end]
}

// Shorten is Cut with an ellipsis for what is missing.
func Shorten(text string, maxBytes int) string {
	if len(text) <= maxBytes {
		return text
	}
	return Cut(text, maxBytes) + "…"
}
