package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// operands puts arguments that begin with a dash, and are no flags, behind "--": ids
// made by others and by earlier versions (a key's thumbprint) may begin with one, and
// the command for a key that leaked has to take any of them. The commands have no
// flags of one letter but -h and -v, so that "-L7ESP…" can only be an operand.
func operands(root *cobra.Command, args []string) []string {
	var before, after []string
	c := root
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(append(before, "--"), append(after, args[i+1:]...)...)
		case strings.HasPrefix(arg, "--") && !isThumbprint(arg):
			before = append(before, arg)
			if takesNext(c, arg[2:]) && i+1 < len(args) {
				i++
				before = append(before, args[i])
			}
		case len(arg) > 2 && arg[0] == '-', len(after) > 0 && (arg == "" || arg[0] != '-'):
			after = append(after, arg)
		default:
			before = append(before, arg)
			for _, sub := range c.Commands() {
				if sub.Name() == arg || sub.HasAlias(arg) {
					c = sub
					break
				}
			}
		}
	}
	if len(after) > 0 {
		before = append(append(before, "--"), after...)
	}
	return before
}

// takesNext reports whether a flag ("name", "name=value") takes its value from the
// next argument.
func takesNext(c *cobra.Command, flag string) bool {
	find := func(set *pflag.FlagSet) *pflag.Flag { return set.Lookup(flag) }
	f := find(c.Flags())
	if f == nil {
		f = find(c.PersistentFlags())
	}
	if f == nil {
		f = find(c.InheritedFlags())
	}
	return f != nil && f.NoOptDefVal == ""
}

// isThumbprint tells the RFC 7638 thumbprint of a key from a flag.
func isThumbprint(s string) bool {
	const length = 43 // base64url of a SHA-256 hash
	return len(s) == length && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
