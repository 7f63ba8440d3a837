// Prints a story as it is generated: ./story build/tiny-gpt2/tiny-gpt2.gsi "Once upon a time"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "gsic.h"

enum { kMostIds = 256, kTokens = 60 };

static int print_token(int32_t id, const char *text, size_t text_bytes, void *user) {
  (void)id, (void)user;
  fwrite(text, 1, text_bytes, stdout);
  return fflush(stdout) != 0;  // non-zero ends the generation
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, gsic_last_error());
  return 1;
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: story BUNDLE PROMPT\n"), 2;
  const gsic_open_options options = {0};  // all cores, the best target, every byte checked
  gsic_model *model = NULL;
  if (gsic_open(arguments[1], &options, &model) != GSIC_OK) return fail("gsic_open");

  int32_t ids[kMostIds];
  size_t length = kMostIds;
  if (gsic_encode(model, arguments[2], strlen(arguments[2]), 0, ids, &length) != GSIC_OK) return fail("gsic_encode");

  gsic_session *session = NULL;
  if (gsic_session_open(model, NULL, &session) != GSIC_OK) return fail("gsic_session_open");
  const gsic_sampling greedy = {0};
  size_t produced = 0;
  printf("%s", arguments[2]);
  if (gsic_generate(session, ids, length, kTokens, &greedy, print_token, NULL, NULL, &produced) != GSIC_OK)
    return fail("gsic_generate");
  printf("\n");

  gsic_session_close(session);
  gsic_close(model);
  return 0;
}
