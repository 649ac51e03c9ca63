package main

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandsInDocsExist: each command that a page names within a line is one of the program, and so are its long flags:
// somebody types it while something burns.
func TestCommandsInDocsExist(t *testing.T) {
	root := (&app{}).command()
	named := regexp.MustCompile("`gatehouse ([^`]+)`")
	flag := regexp.MustCompile(`--([a-z][a-z-]+)`)
	seen := 0
	err := fs.WalkDir(os.DirFS("../.."), "docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile("../../" + path)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			seen++
			c, rest := root, strings.Fields(before.ReplaceAllString(m[1], ""))
			for len(rest) > 0 && c.HasSubCommands() {
				next, found := under(c, rest[0])
				if !found {
					break
				}
				c, rest = next, rest[1:]
			}
			if len(rest) > 0 && c.HasSubCommands() && word.MatchString(rest[0]) {
				t.Errorf("%s: `gatehouse %s`: %q is no command of %s", path, m[1], rest[0], c.CommandPath())
				continue
			}
			for _, f := range flag.FindAllStringSubmatch(m[1], -1) {
				if c.Flags().Lookup(f[1]) == nil && c.PersistentFlags().Lookup(f[1]) == nil && c.InheritedFlags().Lookup(f[1]) == nil && f[1] != "help" && f[1] != "version" {
					t.Errorf("%s: `gatehouse %s`: %s has no --%s", path, m[1], c.CommandPath(), f[1])
				}
			}
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d commands: %v", seen, err)
	}
}

// before are flags of all commands that stand before the command.
var before = regexp.MustCompile(`^(--(realm|url|token-file) \S+ |--json )+`)

// word is a subcommand as a page writes it, and not the name of something.
var word = regexp.MustCompile(`^[a-z][a-z-]+$`)

func under(c *cobra.Command, name string) (*cobra.Command, bool) {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub, true
		}
	}
	return nil, false
}
