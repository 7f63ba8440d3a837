// Writes several stories at once, which share each pass over the weights:
// ./stories build/tiny-gpt2/tiny-gpt2.gsi "Once upon a time" "The little fox" "One day"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gsic.h"

enum { kMostIds = 256, kMostText = 2000, kTokens = 60 };

/// A story while it is written.
typedef struct story {
  char text[kMostText];
  size_t length;
  size_t *left;  ///< stories that are still written
} story;

static int on_event(const gsic_event *event, void *user) {
  story *one = user;
  if (event->end == GSIC_END_FAILED) fprintf(stderr, "story %llu: %s\n", (unsigned long long)event->ticket, event->text);
  if (event->end != GSIC_END_NONE) return (*one->left)--, 0;
  if (one->length + event->text_bytes >= kMostText) return 1;  // non-zero cancels the request
  memcpy(one->text + one->length, event->text, event->text_bytes);
  one->length += event->text_bytes;
  return 0;
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, gsic_last_error());
  return 1;
}

int main(int count, char **arguments) {
  if (count < 3) return fprintf(stderr, "usage: stories BUNDLE PROMPT...\n"), 2;
  gsic_model *model = NULL;
  gsic_batch *batch = NULL;
  if (gsic_open(arguments[1], NULL, &model) != GSIC_OK) return fail("gsic_open");
  if (gsic_batch_open(model, NULL, &batch) != GSIC_OK) return fail("gsic_batch_open");

  size_t stories = (size_t)count - 2, left = stories;
  story *all = calloc(stories, sizeof *all);
  if (all == NULL) return fprintf(stderr, "out of memory\n"), 1;
  for (size_t i = 0; i < stories; i++) {
    int32_t ids[kMostIds];
    size_t length = kMostIds;
    const char *prompt = arguments[i + 2];
    if (gsic_encode(model, prompt, strlen(prompt), 0, ids, &length) != GSIC_OK) return fail("gsic_encode");
    all[i].left = &left;
    const gsic_request request = {
        .prompt = ids, .prompt_count = length, .limit = kTokens, .callback = on_event, .user = &all[i]};
    uint64_t ticket;
    if (gsic_batch_submit(batch, &request, &ticket) != GSIC_OK) return fail("gsic_batch_submit");
  }
  while (left > 0)
    if (gsic_batch_run(batch, 1000) != GSIC_OK) return fail("gsic_batch_run");

  for (size_t i = 0; i < stories; i++) printf("%s%.*s\n", arguments[i + 2], (int)all[i].length, all[i].text);
  gsic_batch_counts counts;
  if (gsic_batch_count(batch, &counts) != GSIC_OK) return fail("gsic_batch_count");
  fprintf(stderr, "%llu tokens in %llu passes\n", (unsigned long long)counts.columns, (unsigned long long)counts.passes);
  free(all);
  gsic_batch_close(batch);
  gsic_close(model);
  return 0;
}
