package main

import (
	"bufio"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/token"
)

// maxVectorLine bounds one line of input.
const maxVectorLine = 1 << 20

func (a *app) joseCommand() *cobra.Command {
	c := &cobra.Command{Use: "jose", Short: "Run test vectors through the verifier that guards requests"}
	c.AddCommand(&cobra.Command{
		Use:   "verify",
		Short: `Read {"jwk":…|"jwks":…,"jws":"…"} lines, answer {"valid":…,"reason":"…"} for each`,
		Long: `Reads JSON lines {"jwk":{…},"jws":"…"} or {"jwks":{…},"jws":"…"} from standard input and answers
{"valid":bool,"reason":"…"} for each, through the very verifier that guards requests. It judges the signature and the
header; claims are not looked at. A line that cannot be read is answered as not valid.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			lines := bufio.NewScanner(a.in)
			lines.Buffer(make([]byte, 0, 64<<10), maxVectorLine)
			out := bufio.NewWriter(a.out)
			enc := json.NewEncoder(out)
			for lines.Scan() {
				if len(lines.Bytes()) == 0 {
					continue
				}
				valid, reason := token.VerifyVector(lines.Bytes())
				if err := enc.Encode(struct {
					Valid  bool   `json:"valid"`
					Reason string `json:"reason"`
				}{valid, reason}); err != nil {
					return err
				}
				// A caller that talks line by line waits for its answer.
				if err := out.Flush(); err != nil {
					return err
				}
			}
			if err := lines.Err(); err != nil {
				return usagef("standard input: %v", err)
			}
			return nil
		},
	})
	return c
}
