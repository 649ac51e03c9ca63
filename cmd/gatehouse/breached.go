package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/breached"
)

func (a *app) breachedCommand() *cobra.Command {
	c := &cobra.Command{Use: "breached", Short: "The list of passwords known from data breaches: make it, ask it"}
	c.AddCommand(a.breachedBuild(), a.breachedCheck())
	return c
}

func (a *app) breachedBuild() *cobra.Command {
	var to string
	var o breached.BuildOptions
	c := &cobra.Command{
		Use:   "build FROM… --output FILE",
		Short: "Make the filter file of what Have I Been Pwned gives out",
		Long: `Makes the filter file for passwords.breached_file of lists of Have I Been Pwned: a file of lines SHA1:COUNT in the order of
the hashes, or the directory of range files 00000.txt to FFFFF.txt that its downloader makes; either may be packed with gzip.
Several lists are merged. It takes one pass and a few megabytes of memory, and can be stopped: FILE appears when it is
whole. Reload the configuration then.`,
		Example: `  haveibeenpwned-downloader --single pwned
  gatehouse breached build pwned.txt --output /var/lib/gatehouse/breached
  gatehouse breached build pwned.txt --min-count 10 --output /var/lib/gatehouse/breached`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, from []string) error {
			if to == "" {
				return usagef("--output is needed: the file to make")
			}
			var told time.Time
			o.Progress = func(share float64, lines uint64) {
				if now := time.Now(); !a.json && now.Sub(told) >= 2*time.Second {
					told = now
					fmt.Fprintf(a.errOut, "%3.0f %%, %d lines\n", 100*share, lines)
				}
			}
			info, err := breached.Build(c.Context(), to, from, o)
			if err != nil {
				return err
			}
			return a.showFilter(to, info, nil)
		},
	}
	c.Flags().StringVar(&to, "output", "", "the `file` to make, or to put a new one in place of")
	c.Flags().Uint64Var(&o.MinCount, "min-count", 1, "leave out what was seen less often")
	c.Flags().BoolVar(&o.Partial, "partial", false, "take a directory that lacks range files")
	return c
}

func (a *app) breachedCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a filter file, and ask it about a password; exit code 1 when it is known",
		Long: `Checks the whole of a filter file and says what is in it. Then it asks for a password, without echo on a terminal, else the
first line of standard input, and says whether the list has it: the exit code is 1 then. Nothing is sent anywhere.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := breached.Open(args[0])
			if err != nil {
				return err
			}
			p, err := a.readPassword("Password to look up")
			if err != nil {
				return err
			}
			known, err := f.Known(c.Context(), p)
			if err != nil {
				return err
			}
			if err := a.showFilter(args[0], f.Info(), &known); err != nil {
				return err
			}
			if known {
				return &silentError{exitFailure}
			}
			return nil
		},
	}
}

// showFilter says what is in a filter and, where one was looked up, whether a password is.
func (a *app) showFilter(name string, i breached.Info, known *bool) error {
	if a.json {
		out := object{"file": name, "count": i.Count, "min_count": i.MinCount, "source": i.Source, "false_rate": i.FalseRate, "size": i.Size}
		if known != nil {
			out["known"] = *known
		}
		return a.printJSON(out)
	}
	fmt.Fprintf(a.out, "%s: %s\n", printable(name), i)
	switch {
	case known == nil:
	case *known:
		fmt.Fprintln(a.out, "the password is known from a breach")
	default:
		fmt.Fprintln(a.out, "the password is not on the list")
	}
	return nil
}
