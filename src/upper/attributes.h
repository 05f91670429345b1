/* Owner, mode, times and extended attributes of whatever lies at a path, over the wire. */
#ifndef RANKSHIFT_UPPER_ATTRIBUTES_H
#define RANKSHIFT_UPPER_ATTRIBUTES_H

#include "upper.h"

/* -1 where it vanished. */
int send_attributes(struct out *out, struct place *place, const struct entry *entry);
void take_attributes(struct place *place, struct record record);

/* As place_enter for a path that came over the wire; exits where it could lead anywhere else, or its parent is missing. */
const char *enter_checked(struct place *place, const char *path);
/* As fail, with code 3 where errno says that the file system is full. */
_Noreturn void fail_full(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
