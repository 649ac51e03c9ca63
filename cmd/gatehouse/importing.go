package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
)

// maxImportFile bounds a file of accounts or keys.
const maxImportFile = 64 << 20

// importLine is one line of a file, as the request that takes it over.
type importLine struct {
	number int
	name   string // of what it is about, for people
	body   object
	err    error // why it cannot even be asked
}

// importAll sends a request for each line, in order, and goes on after one that is
// refused: every refusal is printed with its line and reason, and what went through
// stays. So the same file can be imported again once it is mended.
func (a *app) importAll(ctx context.Context, path, what string, lines []importLine) error {
	done, told := 0, time.Now()
	for i, l := range lines {
		if now := time.Now(); !a.json && now.Sub(told) >= 2*time.Second {
			told = now
			fmt.Fprintf(a.errOut, "%d of %d\n", i, len(lines))
		}
		err := l.err
		if err == nil {
			err = a.patiently(ctx, path, l.body)
		}
		if err == nil {
			done++
			continue
		}
		answered := errors.As(err, new(*client.RequestError))
		k := gatehouse.KindOf(err)
		if l.err == nil && !answered || k == gatehouse.Unauthenticated || k == gatehouse.Denied || k == gatehouse.Unavailable || ctx.Err() != nil {
			return fmt.Errorf("line %d: %w", l.number, err) // so will all others be
		}
		fmt.Fprintf(a.errOut, "line %d: %s: %s\n", l.number, printable(l.name), printable(reasonOf(err)))
	}
	if err := a.done("%d of %d %s imported", done, len(lines), what); err != nil {
		return err
	}
	if done < len(lines) {
		return fmt.Errorf("%d lines were refused", len(lines)-done)
	}
	return nil
}

// patiently waits when the server says that requests come too fast.
func (a *app) patiently(ctx context.Context, path string, body object) error {
	for {
		err := a.call(ctx, "POST", path, body, nil)
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Kind != gatehouse.RateLimited {
			return err
		}
		wait := time.NewTimer(min(max(e.RetryAfter, time.Second), time.Minute))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// reasonOf is what was wrong, with the members that it was about.
func reasonOf(err error) string {
	var e *gatehouse.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if len(e.Fields) == 0 {
		return e.Public
	}
	var out []string
	for member, text := range e.Fields {
		out = append(out, member+" "+text)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// numbered yields the lines of a file that say something, with their numbers.
func numbered(b []byte, comment string) []importLine {
	var out []importLine
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if strings.TrimSpace(text) != "" && (comment == "" || !strings.HasPrefix(text, comment)) {
			out = append(out, importLine{number: n, name: text})
		}
	}
	return out
}

func (a *app) keyImport() *cobra.Command {
	var name, owner, environment, digest, prefix, file string
	var scopes []string
	var bits int
	c := &cobra.Command{
		Use:   "import",
		Short: "Take over keys that another system made, by the SHA-256 of their text",
		Long: `Takes over keys that another system made, without knowing them: by the SHA-256 of each key's text, in hexadecimal.
Callers go on with the keys that they have. A key needs at least 128 random bits, which only you can know: count those
that its maker drew by chance, not its characters. A file has a JSON object on each line, with the members sha256,
bits, name and scopes, and if you like prefix, owner, environment, expires_at, allowed_nets, role_limit, metadata,
quota_day and quota_month; what is missing is taken from the flags.`,
		Example: `  printf %s "$OLD_KEY" | sha256sum
  gatehouse key import --owner customer-1 --name production --scope documents:read --bits 160 --prefix sk_live_ --sha256 $DIGEST
  gatehouse key import --file keys.jsonl --bits 160`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			common := object{"scopes": append([]string{}, scopes...)}
			for member, v := range map[string]string{"name": name, "owner": owner, "environment": environment, "sha256": digest, "prefix": prefix} {
				if v != "" {
					common[member] = v
				}
			}
			if bits != 0 {
				common["bits"] = bits
			}
			if file == "" {
				if digest == "" || bits == 0 || name == "" {
					return usagef("--sha256, --bits and --name are needed, or --file")
				}
				var out object
				if err := a.call(c.Context(), "POST", a.realmPath("keys", "import"), common, &out); err != nil {
					return err
				}
				return a.show(out)
			}
			b, err := a.readFileOrStdin(file, maxImportFile)
			if err != nil {
				return err
			}
			lines := numbered(b, "")
			for i := range lines {
				l := &lines[i]
				if l.body, l.err = jsonObject("the line", []byte(l.name)); l.err != nil {
					l.name = "?"
					continue
				}
				for member, v := range common {
					if _, given := l.body[member]; !given {
						l.body[member] = v
					}
				}
				l.name, _ = l.body["name"].(string)
			}
			return a.importAll(c.Context(), a.realmPath("keys", "import"), "keys", lines)
		},
	}
	c.Flags().StringVar(&file, "file", "", "file with a JSON object on each line (- is standard input)")
	c.Flags().StringVar(&digest, "sha256", "", "SHA-256 of the key's text, 64 hexadecimal digits")
	c.Flags().IntVar(&bits, "bits", 0, "random bits in the key, at least 128")
	c.Flags().StringVar(&prefix, "prefix", "", "how the key's text begins, for people")
	c.Flags().StringVar(&name, "name", "", "what the key is for")
	c.Flags().StringVar(&owner, "owner", "", "user or service that the key speaks for; yourself when empty")
	c.Flags().StringVar(&environment, "environment", "", "live or test; live when empty")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "what the key may do; may be repeated")
	c.MarkFlagsMutuallyExclusive("file", "sha256")
	return c
}
