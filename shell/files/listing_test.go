package files

import (
	"io"
	"testing"

	"github.com/pkg/sftp"
)

// A client that opens folders and never closes them would have the gateway
// keep any number of listings.
func TestSFTP_FoldersLeftOpenAreBounded(t *testing.T) {
	s := serve(t)
	h := handlers{s.Tree}
	list := func(name string) (sftp.ListerAt, error) { return h.Filelist(sftp.NewRequest("List", name)) }
	var open []sftp.ListerAt
	for range maxOpen {
		l, err := list("/configuration")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, l)
	}
	if _, err := list("/configuration"); err == nil || err.Error() != errTooMany.Error() {
		t.Errorf("one folder more than may be open: %v", err)
	}
	for _, l := range open {
		c, ok := l.(io.Closer)
		if !ok {
			t.Fatal("a listing cannot be closed")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	c, near, ended := s.client(t)
	for range maxOpen + 1 {
		if _, err := c.ReadDir("/configuration"); err != nil {
			t.Fatalf("folders that were closed still count: %v", err)
		}
		if _, err := c.ReadDir("/nowhere"); err == nil {
			t.Fatal("a folder that is not there was listed")
		}
	}
	near.Close()
	<-ended
}
