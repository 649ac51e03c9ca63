package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
)

func (a *app) userImport() *cobra.Command {
	var f userFlags
	var htpasswd, table, jsonl string
	var dry bool
	c := &cobra.Command{
		Use:   "import",
		Short: "Make an account for each line of an htpasswd, CSV or JSON lines file; their passwords go on",
		Long: `Makes an account for each line of a file, with the hash that another system made of the password. bcrypt, Argon2, scrypt,
PBKDF2 and SHA crypt are taken over, as Django, Spring, Werkzeug, WordPress, ASP.NET, Keycloak, slapd, Dovecot and htpasswd -B
write them, and hashed anew at the first good login. What can be guessed from the file is refused, a line each: $apr1$ and
$1$ (MD5), {SHA} and {SSHA}, DES crypt (eight characters), clear text. Those people need a new password.

A CSV file has a line of names first: username and, in any order, password_hash, password, display_name, email, roles and
groups (several with blanks between them). A line of JSON has those members, roles and groups as lists, and attributes.
--dry-run looks at each line and sends nothing.`,
		Example: `  gatehouse user import --htpasswd /etc/nginx/htpasswd --role user
  gatehouse user import --csv people.csv --dry-run
  gatehouse user import --jsonl people.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			common, err := f.body(c)
			if err != nil {
				return err
			}
			var lines []importLine
			switch {
			case htpasswd != "":
				lines, err = a.peopleOf(htpasswd, htpasswdLines)
			case table != "":
				lines, err = a.peopleOf(table, csvLines)
			case jsonl != "":
				lines, err = a.peopleOf(jsonl, jsonLines)
			default:
				err = usagef("--htpasswd, --csv or --jsonl is needed: the file")
			}
			if err != nil {
				return err
			}
			for i := range lines {
				for k, v := range common {
					if _, given := lines[i].body[k]; !given && lines[i].body != nil {
						lines[i].body[k] = v
					}
				}
			}
			if dry {
				return a.dryImport(lines)
			}
			return a.importAll(c.Context(), a.realmPath("users"), "accounts", lines)
		},
	}
	c.Flags().StringVar(&htpasswd, "htpasswd", "", "`file` of lines user:hash (- is standard input)")
	c.Flags().StringVar(&table, "csv", "", "`file` of comma separated values with a line of names (- is standard input)")
	c.Flags().StringVar(&jsonl, "jsonl", "", "`file` with a JSON object on each line (- is standard input)")
	c.Flags().BoolVar(&dry, "dry-run", false, "look at each line, and send nothing")
	c.Flags().StringSliceVar(&f.roles, "role", nil, "role of each of them that names none; may be repeated")
	c.Flags().StringSliceVar(&f.groups, "group", nil, "group of each of them that names none; may be repeated")
	c.MarkFlagsMutuallyExclusive("htpasswd", "csv", "jsonl")
	return c
}

// peopleOf reads the lines of a file. A body of nil has an error.
func (a *app) peopleOf(file string, read func([]byte) ([]importLine, error)) ([]importLine, error) {
	b, err := a.readFileOrStdin(file, maxImportFile)
	if err != nil {
		return nil, err
	}
	return read(bytes.TrimPrefix(b, []byte("\ufeff"))) // spreadsheets begin with it
}

func htpasswdLines(b []byte) ([]importLine, error) {
	lines := numbered(b, "#")
	for i := range lines {
		l := &lines[i]
		user, hash, ok := strings.Cut(l.name, ":")
		l.name = user
		if !ok || user == "" || hash == "" {
			l.name, l.err = "?", errors.New("is not user:hash") // it may be a password: do not show it
			continue
		}
		l.body = object{"username": user, "password_hash": strings.TrimRight(hash, " \t")}
	}
	return lines, nil
}

// csvColumns are what a CSV file can have.
func csvColumns() []string {
	return []string{"username", "password_hash", "password", "display_name", "email", "roles", "groups"}
}

func csvLines(b []byte) ([]importLine, error) {
	r := csv.NewReader(bytes.NewReader(b))
	names, err := r.Read()
	if err != nil {
		return nil, usagef("the first line has no names of columns")
	}
	for i, name := range names {
		if !slices.Contains(csvColumns(), name) || slices.Contains(names[:i], name) {
			return nil, usagef("the column %q is none of %s, or stands twice", printable(name), strings.Join(csvColumns(), ", "))
		}
	}
	if !slices.Contains(names, "username") {
		return nil, usagef("there is no column username")
	}
	var out []importLine
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) && !errors.Is(err, csv.ErrFieldCount) {
			return nil, usagef("line %d: %v; what follows cannot be told apart", wrong.Line, wrong.Err)
		}
		line, _ := r.FieldPos(0)
		l := importLine{number: line, name: "?"}
		if err != nil {
			l.err = fmt.Errorf("has %d values, and there are %d columns", len(row), len(names))
			out = append(out, l)
			continue
		}
		l.body = object{}
		for i, name := range names {
			switch value := row[i]; {
			case value == "":
			case name == "roles" || name == "groups":
				l.body[name] = strings.Fields(value)
			default:
				l.body[name] = value
			}
		}
		l.name, _ = l.body["username"].(string)
		out = append(out, l)
	}
}

func jsonLines(b []byte) ([]importLine, error) {
	lines := numbered(b, "")
	for i := range lines {
		l := &lines[i]
		if l.body, l.err = jsonObject("the line", []byte(l.name)); l.err != nil {
			l.name, l.body = "?", nil
			continue
		}
		l.name, _ = l.body["username"].(string)
		if credential, nested := l.body["password_hash"].(object); nested { // as Keycloak exports it
			text, err := json.Marshal(credential)
			if err != nil {
				return nil, err
			}
			l.body["password_hash"] = string(text)
		}
	}
	return lines, nil
}

// dryImport tells what can be seen of each line without the server: it knows who is there
// already, which roles there are, and whether a password in clear text breaks a rule.
func (a *app) dryImport(lines []importLine) error {
	good := 0
	for _, l := range lines {
		err := l.err
		if err == nil {
			err = dryLine(l.body)
		}
		if err == nil {
			good++
			continue
		}
		fmt.Fprintf(a.errOut, "line %d: %s: %s\n", l.number, printable(l.name), printable(reasonOf(err)))
	}
	if err := a.done("%d of %d accounts can be imported, as far as can be told here; nothing was sent", good, len(lines)); err != nil {
		return err
	}
	if good < len(lines) {
		return fmt.Errorf("%d lines would be refused", len(lines)-good)
	}
	return nil
}

func dryLine(body object) error {
	name, _ := body["username"].(string)
	if _, _, err := identity.NormalizeUsername(name); err != nil {
		return err
	}
	given, there := body["password_hash"]
	if !there {
		return nil
	}
	hash, _ := given.(string)
	if _, _, err := credential.ImportHash(hash); err != nil {
		return errors.New("password_hash " + credential.WhyNoHash(hash))
	}
	return nil
}
