/* SPDX-License-Identifier: MIT
 * importer_list.h - the formats that can be imported. To add one: write `bool import_NAME(struct
 * import *in)` in import_NAME.c (importers.h says with what) and add a line
 * I(NAME, "where such files come from"). */
I(android, "Android memory_replay: text, one call a line (unpacked)")
I(rep, "malloclab .rep: the forms of 2002 and 2016 and the short one")
