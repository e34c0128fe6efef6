// libcrypto's message digests.
#include <openssl/evp.h>
