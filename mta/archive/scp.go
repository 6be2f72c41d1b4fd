package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxReply bounds what a host says of an error, in bytes.
const maxReply = 512

// send copies a file to a host. What the host says is part of errors.
func (a *Archives) send(ctx context.Context, p Place, f File) error {
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(p.HostKey))
	if err != nil {
		return fmt.Errorf("reading the host key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey([]byte(p.Key))
	if err != nil {
		return errors.New("the private key cannot be read")
	}
	client, err := a.connect(ctx, p.Address, &ssh.ClientConfig{
		User: p.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: func(_ string, _ net.Addr, have ssh.PublicKey) error {
			if !bytes.Equal(have.Marshal(), want.Marshal()) {
				return fmt.Errorf("the host has another key than the configured one: %s", ssh.FingerprintSHA256(have))
			}
			return nil
		},
		HostKeyAlgorithms: algorithms(want.Type()),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	return copyFile(client, p.Directory, f)
}

// algorithms are those by which a host can prove a key of a kind.
func algorithms(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

// connect opens a connection that ends with ctx.
func (a *Archives) connect(ctx context.Context, address string, config *ssh.ClientConfig) (*client, error) {
	conn, err := a.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	// The deadline alone would not see that ctx was cancelled.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	talk, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		stop()
		return nil, errors.Join(err, ignoreClosed(conn.Close()))
	}
	return &client{ssh.NewClient(talk, channels, requests), stop}, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// client is a connection, and what watches over it.
type client struct {
	*ssh.Client
	stop func() bool
}

func (c *client) Close() {
	c.stop()
	_ = c.Client.Close() // all that matters was answered
	_ = c.Wait()
}

// copyFile speaks scp's protocol with the host.
func copyFile(c *client, dir string, f File) error {
	session, err := c.NewSession()
	if err != nil {
		return fmt.Errorf("opening a session: %w", err)
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	var complaints head
	session.Stderr = &complaints
	// A path of a Place has nothing that a shell gives a meaning.
	if err := session.Start("scp -t -- " + dir); err != nil {
		return fmt.Errorf("starting scp on the host: %w", err)
	}
	err = deliver(in, bufio.NewReader(out), f)
	err = errors.Join(err, in.Close())
	if status := session.Wait(); status != nil && err == nil {
		err = status
	}
	if said := strings.TrimSpace(complaints.text); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// deliver sends one file and waits for each of the three answers.
func deliver(in io.Writer, out *bufio.Reader, f File) error {
	if err := answer(out); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(in, "C0600 %d %s\n", len(f.Data), f.Name); err != nil {
		return err
	}
	if err := answer(out); err != nil {
		return err
	}
	if _, err := in.Write(append(f.Data, 0)); err != nil {
		return err
	}
	return answer(out)
}

// answer reads what the host says to one step.
func answer(out *bufio.Reader) error {
	code, err := out.ReadByte()
	if err != nil {
		return fmt.Errorf("scp on the host ended: %w", err)
	}
	if code == 0 {
		return nil
	}
	said := make([]byte, 0, maxReply)
	if code != 1 && code != 2 {
		said = append(said, code)
	}
	for len(said) < maxReply {
		b, err := out.ReadByte()
		if err != nil || b == '\n' {
			break
		}
		said = append(said, b)
	}
	return fmt.Errorf("the host says: %s", strings.TrimSpace(string(said)))
}

// head keeps the beginning of what is written to it.
type head struct{ text string }

func (h *head) Write(p []byte) (int, error) {
	h.text += string(p[:min(len(p), maxReply-len(h.text))])
	return len(p), nil
}

// errSeen ends a connection that was only made to see the key.
var errSeen = errors.New("the key was seen")

// HostKey asks a host for its key, within half a minute, and gives it as
// Place.HostKey has it and as a fingerprint. Nobody says that it is the right
// host.
func (a *Archives) HostKey(ctx context.Context, address string) (key, fingerprint string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, putTime, fmt.Errorf("not done within %s", putTime))
	defer cancel()
	var seen ssh.PublicKey
	c, err := a.connect(ctx, address, &ssh.ClientConfig{
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			seen = k
			return errSeen
		},
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	})
	if err == nil {
		c.Close()
	}
	if seen == nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(seen))), ssh.FingerprintSHA256(seen), nil
}
