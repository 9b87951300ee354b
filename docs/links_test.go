package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	fence   = regexp.MustCompile("(?ms)^[ >]*```.*?^[ >]*```")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	notSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestLinksLeadSomewhere checks each relative link of each page: its file exists,
// and its anchor is a heading of that page.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		t.Run(page, func(t *testing.T) {
			content := fence.ReplaceAllString(read(t, page), "")
			for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(content, ""), -1) {
				if target := found[1]; !strings.Contains(target, "://") && !strings.HasPrefix(target, "mailto:") {
					assert.Empty(t, broken(t, page, target), "%v", target)
				}
			}
		})
	}
}

func TestBrokenLinksAreFound(t *testing.T) {
	for target, want := range map[string]string{
		"model.md":                 "",
		"../README.md#a-pipeline":  "",
		"#no-such-heading":         "no heading of ../SECURITY.md",
		"docs/no_such_page.md":     "no file",
		"README.md#no-such-anchor": "no heading of ../README.md",
	} {
		t.Run(target, func(t *testing.T) {
			page := "../SECURITY.md"
			if target == "model.md" || strings.HasPrefix(target, "..") {
				page = "scaling.md"
			}
			assert.Equal(t, want, broken(t, page, target))
		})
	}
	assert.Equal(t, map[string]bool{"a-b-c_d": true, "a-b-c_d-1": true}, anchors("# A `b`, c_d!\n## A b c_d\n```\n# no\n```\n"))
}

// pages returns the Markdown files of the repository.
func pages(t *testing.T) (found []string) {
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".github" {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			found = append(found, path)
		}
		return err
	}))
	require.Greater(t, len(found), 10)
	return found
}

// broken says what is wrong with a link of a page, if anything.
func broken(t *testing.T, page, target string) string {
	path, anchor, _ := strings.Cut(target, "#")
	file := page
	if path != "" {
		file = filepath.Join(filepath.Dir(page), path)
	}
	if _, err := os.Stat(file); err != nil {
		return "no file"
	}
	if anchor != "" && strings.HasSuffix(file, ".md") && !anchors(read(t, file))[anchor] {
		return "no heading of " + file
	}
	return ""
}

// anchors returns the anchors that GitHub gives the headings of a page.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(h[1], "$1")
		slug := strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
		unique := slug
		for n := 1; found[unique]; n++ {
			unique = fmt.Sprintf("%v-%v", slug, n)
		}
		found[unique] = true
	}
	return found
}

func read(t *testing.T, path string) string {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}
