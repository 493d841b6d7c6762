/* The signature check of libmacaroons, timed: FILE has the root key, then one binary token a line, in hexadecimal.
   Each line that comes is answered with the microseconds a token of one round. No caveat is judged. */
#include <macaroons.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 1000
#define LONGEST 10000

static int satisfied(void* f, const unsigned char* pred, size_t size) {
    (void)f, (void)pred, (void)size;
    return 0;
}

static size_t decode(const char* line, unsigned char* bytes) {
    size_t size = 0;
    while (size < LONGEST && sscanf(line + 2 * size, "%2hhx", &bytes[size]) == 1) ++size;
    return size;
}

static void verify(const unsigned char* token, size_t size, const unsigned char* key, size_t key_size) {
    enum macaroon_returncode code;
    struct macaroon* macaroon = macaroon_deserialize(token, size, &code);
    struct macaroon_verifier* verifier = macaroon_verifier_create();
    if (!macaroon || !verifier || macaroon_verifier_satisfy_general(verifier, satisfied, NULL, &code) ||
        macaroon_verify(verifier, macaroon, key, key_size, NULL, 0, &code)) {
        fprintf(stderr, "libmacaroons refuses a token: %d\n", (int)code);
        exit(1);
    }
    macaroon_verifier_destroy(verifier);
    macaroon_destroy(macaroon);
}

int main(int count, char** arguments) {
    static unsigned char tokens[MOST][LONGEST], key[LONGEST];
    static size_t sizes[MOST];
    static char line[2 * LONGEST];
    size_t number = 0;
    FILE* file = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (!file || !fgets(line, sizeof line, file)) return 1;
    const size_t key_size = decode(line, key);
    while (number < MOST && fgets(line, sizeof line, file)) {
        sizes[number] = decode(line, tokens[number]);
        ++number;
    }
    while (fgets(line, sizeof line, stdin)) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (size_t each = 0; each < number; ++each) verify(tokens[each], sizes[each], key, key_size);
        clock_gettime(CLOCK_MONOTONIC, &end);
        const double spent = (end.tv_sec - start.tv_sec) * 1e6 + (end.tv_nsec - start.tv_nsec) / 1e3;
        printf("%f\n", spent / (double)number);
        fflush(stdout);
    }
    return 0;
}
