package culld

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"culld.dev/go/culld/culldpb"
)

// certificate writes a certificate, its own authority, and its key; for server and client alike.
func certificate(t *testing.T, folder string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
}

func TestTLSWithAClientCertificate(t *testing.T) {
	cert, key := certificate(t, t.TempDir())
	stranger, _ := certificate(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil || !trusted.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	culldpb.RegisterImageServiceServer(server, &daemon{getImage: func(context.Context) error { return status.Error(codes.NotFound, "seen") }})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	ask := func(options ...Option) error {
		client, err := Connect("https://"+listener.Addr().String(), append(options, WithRetry(RetryPolicy{Patience: -1}))...)
		if err != nil {
			return err
		}
		defer client.Close()
		_, err = client.Image(t.Context(), "x")
		return err
	}
	if err := ask(WithTLSFiles(cert, cert, key), WithToken("t")); !errors.Is(err, ErrNotFound) {
		t.Error("the right certificate:", err)
	}
	if err := ask(WithTLSFiles(cert, "", "")); !errors.Is(err, ErrUnavailable) {
		t.Error("no certificate of its own:", err)
	}
	t.Setenv("CULLD_CA", cert)
	t.Setenv("CULLD_CLIENT_CERT", cert)
	t.Setenv("CULLD_CLIENT_KEY", key)
	if err := ask(); !errors.Is(err, ErrNotFound) {
		t.Error("by the environment:", err)
	}
	var failed *Error
	if err := ask(WithTLSFiles(stranger, cert, key)); !errors.As(err, &failed) || failed.Retryable {
		t.Error("a stranger's certificate:", err)
	}
	if err := ask(WithTLSFiles(key, "", "")); err == nil {
		t.Error("a file without a certificate is taken for one")
	}
}
