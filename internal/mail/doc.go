// Package mail writes to people: what happened to their account, and what is about to end.
//
// A message is queued in the transaction of the change that it tells of ([Queue]): without
// the change there is no message, and without the message no change. One process sends
// ([Sender], under a lease), by SMTP or into a directory. It is sent at least once, and
// each time under the same Message-ID, by which a mailbox knows the second copy: a process
// that dies between the server's word and its own commit has sent it, and does not know.
//
// A queue is also a weapon against who gets the mail. So what one address and one realm get
// is bounded, and nothing that a caller chooses is in a header: the only address is that of
// the account, and subjects are texts of ours.
//
// What is in a message may be a secret. It is sealed in the store, wiped as soon as it was
// sent or given up, and no listing shows it.
package mail
