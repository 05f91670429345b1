#include "tls.h"

#include <openssl/err.h>
#include <string.h>

#include "../init/arguments.h"

unsigned char tls_key[KEY_BYTES];

static const char identity[] = "rankshift";

static unsigned int client_key(SSL *ssl, const char *hint, char *name, unsigned int most_name, unsigned char *psk,
			       unsigned int most)
{
	(void)ssl, (void)hint;
	if (most_name < sizeof identity || most < KEY_BYTES)
		return 0;
	memcpy(name, identity, sizeof identity);
	memcpy(psk, tls_key, KEY_BYTES);
	return KEY_BYTES;
}

static unsigned int server_key(SSL *ssl, const char *name, unsigned char *psk, unsigned int most)
{
	(void)ssl;
	if (strcmp(name, identity) != 0 || most < KEY_BYTES)
		return 0;
	memcpy(psk, tls_key, KEY_BYTES);
	return KEY_BYTES;
}

static _Noreturn void fail_tls(SSL *ssl, int result, const char *what)
{
	char text[256] = "the connection was lost";
	unsigned long code = ERR_get_error();
	if (SSL_get_error(ssl, result) == SSL_ERROR_SSL && code != 0)
		ERR_error_string_n(code, text, sizeof text);
	fail(1, "%s: %s", what, text);
}

void tls_open(struct tls *tls, int socket, bool server, size_t buffer_bytes)
{
	tls->socket = socket;
	SSL_CTX *context = tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1)
		fail(1, "TLS cannot be set up");
	if (server) {
		SSL_CTX_set_psk_server_callback(context, server_key);
		SSL_CTX_set_num_tickets(context, 0);
	} else {
		SSL_CTX_set_psk_client_callback(context, client_key);
	}
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, buffer_bytes);
	SSL *ssl = tls->ssl = SSL_new(context);
	BIO *wire = BIO_new_socket(socket, BIO_NOCLOSE), *buffer = BIO_new(BIO_f_buffer());
	if (ssl == NULL || wire == NULL || buffer == NULL || BIO_set_write_buffer_size(buffer, 2 * (long)buffer_bytes) != 1)
		fail(1, "TLS cannot be set up");
	BIO_up_ref(wire);
	SSL_set0_rbio(ssl, wire);
	SSL_set0_wbio(ssl, BIO_push(buffer, wire));
	int result = server ? SSL_accept(ssl) : SSL_connect(ssl);
	if (result != 1)
		fail_tls(ssl, result, "no TLS connection with this key");
	/* Without it a server would have let in whoever shows no key: it has no certificate, but be sure. */
	if (SSL_session_reused(ssl) != 1)
		fail(1, "no TLS connection with this key: the key was not used");
	tls_flush(tls);
}

void tls_write(struct tls *tls, const void *bytes, size_t length)
{
	int result = SSL_write(tls->ssl, bytes, (int)length);
	if (result <= 0)
		fail_tls(tls->ssl, result, "sending failed");
}

void tls_flush(struct tls *tls)
{
	if (BIO_flush(SSL_get_wbio(tls->ssl)) != 1)
		fail(1, "sending failed: the connection was lost");
}

void tls_read(struct tls *tls, void *bytes, size_t length)
{
	for (size_t have = 0; have < length;) {
		int result = SSL_read(tls->ssl, (char *)bytes + have, (int)(length - have));
		if (result <= 0)
			fail_tls(tls->ssl, result, "receiving failed");
		have += (size_t)result;
	}
}

bool tls_pending(const struct tls *tls)
{
	return SSL_has_pending(tls->ssl) == 1;
}
