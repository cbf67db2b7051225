/* A libnvidia-ml.so.1 without a card, so that the real NVML code runs where there is none.
 *
 * Written from NVIDIA's public interface (the structures are those of nvidia-ml-py). The starts
 * and sizes below are typed from `nvidia-smi mig -lgipp`, not from hub.core: the tests compare them.
 *
 * FAKE_NVML         models, e.g. "A100-40,A100-40": MIG on, nothing cut; "A100-40/off": MIG off
 * FAKE_NVML_OLD=1   a driver of 2021: old form of the MIG UUID, no …V functions, no _v3
 * fake_*()          what happens to real cards, made to happen (called through ctypes)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 6,
       INSUFFICIENT_SIZE, FUNCTION_NOT_FOUND = 13, GPU_IS_LOST = 15, IN_USE = 19,
       INSUFFICIENT_RESOURCES = 23 };
enum { CARDS = 4, PLACES = 16, PIDS = 8, FAILS = 8 };

typedef unsigned int uint;
typedef unsigned long long ull;
typedef struct { uint start, size; } Place;
typedef struct { int kind; uint id, compute, memory_mib, sms, size, n; uint starts[7]; const char *name; } Profile;
typedef struct { const char *key, *name; uint mib; Profile profiles[7]; } Model;
struct Card;
/* a GPU instance; its address is the handle of the instance, of its compute instance and of the
 * MIG device alike. `tag` is the first field here and in Card, to tell the handles apart */
typedef struct { int tag, used, filled; const Profile *profile; uint start, id; char uuid[96];
                 struct Card *card; uint pids[PIDS], npids; } Instance;
typedef struct Card { int tag; const Model *model; int mig, lost; volatile int hung; uint index, made; char uuid[48];
                      Instance instances[PLACES]; uint pids[PIDS], npids; } Card;

#define SEVEN {0, 1, 2, 3, 4, 5, 6}
static const Model MODELS[] = {
  {"A100-40", "NVIDIA A100-SXM4-40GB", 40960, {
    {0, 19, 1, 4864, 14, 1, 7, SEVEN, "1g.5gb"},
    {7, 20, 1, 4864, 14, 1, 7, SEVEN, "1g.5gb+me"},
    {9, 15, 1, 9856, 14, 2, 4, {0, 2, 4, 6}, "1g.10gb"},
    {1, 14, 2, 9856, 28, 2, 3, {0, 2, 4}, "2g.10gb"}, {2, 9, 3, 19968, 42, 4, 2, {0, 4}, "3g.20gb"}, {3, 5, 4, 19968, 56, 4, 1, {0}, "4g.20gb"},
    {4, 0, 7, 40192, 98, 8, 1, {0}, "7g.40gb"}}},
  {"H200", "NVIDIA H200", 143771, {
    {0, 19, 1, 16384, 16, 1, 7, SEVEN, "1g.18gb"},
    {7, 20, 1, 16384, 16, 1, 7, SEVEN, "1g.18gb+me"},
    {9, 15, 1, 33024, 26, 2, 4, {0, 2, 4, 6}, "1g.35gb"},
    {1, 14, 2, 33024, 32, 2, 3, {0, 2, 4}, "2g.35gb"},
    {2, 9, 3, 71168, 60, 4, 2, {0, 4}, "3g.71gb"}, {3, 5, 4, 71168, 64, 4, 1, {0}, "4g.71gb"},
    {4, 0, 7, 143360, 132, 8, 1, {0}, "7g.141gb"}}},
};

static Card cards[CARDS];
static uint ncards, opened;
static int laid_out, old_driver;
static struct { char function[64]; int code; } fails[FAILS];

/* ---- faults, from the tests ------------------------------------------------------------------ */

void fake_fail(const char *function, int code) {
  for (int i = 0; i < FAILS; i++)
    if (!fails[i].function[0] || !strcmp(fails[i].function, function)) {
      snprintf(fails[i].function, sizeof fails[i].function, "%s", function);
      fails[i].code = code;
      return;
    }
}

static Instance *by_uuid(const char *uuid) {
  for (uint c = 0; c < ncards; c++)
    for (int i = 0; i < PLACES; i++)
      if (cards[c].instances[i].used && !strcmp(cards[c].instances[i].uuid, uuid)) return &cards[c].instances[i];
  return NULL;
}

int fake_occupy(const char *uuid, uint pid) {  /* pid 0: nobody any more */
  Instance *i = by_uuid(uuid);
  for (uint c = 0; !i && c < ncards; c++)
    if (!strcmp(cards[c].uuid, uuid)) { cards[c].npids = pid != 0; cards[c].pids[0] = pid; return 0; }
  if (!i) return NOT_FOUND;
  i->npids = pid != 0, i->pids[0] = pid;
  return OK;
}

int fake_vanish(const char *uuid) {
  Instance *i = by_uuid(uuid);
  return i ? (memset(i, 0, sizeof *i), OK) : NOT_FOUND;
}

void fake_lose(uint card, int lost) { cards[card].lost = lost; }
void fake_hang(uint card, int hung) { cards[card].hung = hung; }  /* calls on it do not come back */
static int gone(Card *c) { while (c->hung) usleep(1000); return c->lost; }
void fake_reload(void) { opened = 0; }  /* the driver is loaded anew: old sessions are void */
int fake_empty_instance(const char *uuid) {  /* a crash between the two creations */
  Instance *i = by_uuid(uuid);
  return i ? (i->filled = 0, OK) : NOT_FOUND;
}

static int failing(const char *function) {
  for (int i = 0; i < FAILS; i++)
    if (!strcmp(fails[i].function, function)) return fails[i].code;
  return OK;
}

#define CARD 1
#define MIG 2
#define ENTER do { int f_ = failing(__func__); if (f_) return f_; if (!opened) return UNINITIALIZED; } while (0)
#define ON_CARD(d) do { ENTER; if (!(d) || *(int *)(d) != CARD) return INVALID_ARGUMENT; \
                        if (gone((Card *)(d))) return GPU_IS_LOST; } while (0)
#define ON_MIG(d) do { ENTER; if (!(d) || *(int *)(d) != MIG) return INVALID_ARGUMENT; \
                       if (gone(((Instance *)(d))->card)) return GPU_IS_LOST; } while (0)
#define ON_ANY(d) do { ENTER; if (!(d) || !*(int *)(d)) return INVALID_ARGUMENT; \
                       if (gone(*(int *)(d) == CARD ? (Card *)(d) : ((Instance *)(d))->card)) return GPU_IS_LOST; } while (0)

/* ---- the library ------------------------------------------------------------------------------ */

static void lay_out(void) {
  char text[256];
  snprintf(text, sizeof text, "%s", getenv("FAKE_NVML") ? getenv("FAKE_NVML") : "A100-40");
  old_driver = getenv("FAKE_NVML_OLD") != NULL;
  for (char *part = strtok(text, ","); part && ncards < CARDS; part = strtok(NULL, ",")) {
    Card *c = &cards[ncards];
    char *off = strstr(part, "/off");
    if (off) *off = 0;
    for (uint m = 0; m < sizeof MODELS / sizeof *MODELS; m++)
      if (!strcmp(MODELS[m].key, part)) c->model = &MODELS[m];
    if (!c->model) { fprintf(stderr, "FAKE_NVML: no model %s\n", part); abort(); }
    c->tag = CARD;
    c->mig = !off;
    c->index = ncards++;
    snprintf(c->uuid, sizeof c->uuid, "GPU-fa4e0000-0000-5000-8000-%012u", c->index);
  }
}

int nvmlInitWithFlags(uint flags) {
  (void)flags;
  int f = failing(__func__);
  if (f) return f;
  if (!laid_out) { lay_out(); laid_out = 1; }
  opened++;
  return OK;
}
int nvmlShutdown(void) { ENTER; opened--; return OK; }
const char *nvmlErrorString(int code) {
  static char text[32];
  snprintf(text, sizeof text, "fake error %d", code);
  return text;
}
int nvmlDeviceGetCount_v2(uint *n) { ENTER; *n = ncards; return OK; }
int nvmlDeviceGetHandleByIndex_v2(uint i, void **d) {
  ENTER;
  if (i >= ncards) return INVALID_ARGUMENT;
  if (gone(&cards[i])) return GPU_IS_LOST;
  *d = &cards[i];
  return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **d) {
  ENTER;
  Instance *i = by_uuid(uuid);
  if (i) { *d = i; return OK; }
  for (uint c = 0; c < ncards; c++)
    if (!strcmp(cards[c].uuid, uuid)) { *d = &cards[c]; return cards[c].lost ? GPU_IS_LOST : OK; }
  return NOT_FOUND;
}
int nvmlDeviceGetIndex(Card *c, uint *i) { ON_CARD(c); *i = c->index; return OK; }
int nvmlDeviceGetUUID(void *d, char *out, uint n) {
  ON_ANY(d);
  snprintf(out, n, "%s", *(int *)d == CARD ? ((Card *)d)->uuid : ((Instance *)d)->uuid);
  return OK;
}
int nvmlDeviceGetName(void *d, char *out, uint n) {
  ON_ANY(d);
  Instance *i = d;
  if (*(int *)d == CARD) snprintf(out, n, "%s", ((Card *)d)->model->name);
  else snprintf(out, n, "%s MIG %s", i->card->model->name, i->profile->name);
  return OK;
}
int nvmlDeviceGetMemoryInfo(void *d, ull *totals) {
  ON_ANY(d);
  uint mib = *(int *)d == CARD ? ((Card *)d)->model->mib : ((Instance *)d)->profile->memory_mib;
  uint n = *(int *)d == CARD ? ((Card *)d)->npids : ((Instance *)d)->npids;
  totals[0] = (ull)mib << 20;
  totals[2] = (ull)(n * 500) << 20;
  totals[1] = totals[0] - totals[2];
  return OK;
}
int nvmlDeviceGetMigMode(Card *c, uint *now, uint *later) { ON_CARD(c); *now = *later = c->mig; return OK; }
int nvmlDeviceGetMaxMigDeviceCount(Card *c, uint *n) { ON_CARD(c); *n = PLACES; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Card *c, uint i, void **d) {  /* sparse, as in life */
  ON_CARD(c);
  if (i >= PLACES || !c->instances[i].used || !c->instances[i].filled) return NOT_FOUND;
  *d = &c->instances[i];
  return OK;
}
int nvmlDeviceGetGpuInstanceId(Instance *i, uint *id) { ON_MIG(i); *id = i->id; return OK; }
int nvmlDeviceGetAttributes_v2(Instance *i, void *out) {
  struct { uint sms, copy, dec, enc, jpeg, ofa, gpu_slices, compute_slices; ull mib; } *a = out;
  ON_MIG(i);
  memset(a, 0, sizeof *a);
  a->sms = i->profile->sms;
  a->gpu_slices = a->compute_slices = i->profile->compute;
  a->mib = i->profile->memory_mib;
  return OK;
}

typedef struct { uint pid; ull used; uint gi, ci; } Process;
static int processes(void *d, uint *n, Process *out) {
  uint have = *(int *)d == CARD ? ((Card *)d)->npids : ((Instance *)d)->npids;
  uint *pids = *(int *)d == CARD ? ((Card *)d)->pids : ((Instance *)d)->pids;
  uint room = *n;
  *n = have;
  if (room < have) return INSUFFICIENT_SIZE;
  for (uint k = 0; k < have; k++) out[k] = (Process){pids[k], 500ull << 20, 0, 0};
  return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, uint *n, Process *out) {
  if (old_driver) return FUNCTION_NOT_FOUND;
  ON_ANY(d);
  return processes(d, n, out);
}
int nvmlDeviceGetComputeRunningProcesses_v2(void *d, uint *n, Process *out) { ON_ANY(d); return processes(d, n, out); }

static const Profile *profile_by(Card *c, int kind, uint id) {  /* by id where kind is -1 */
  for (int p = 0; p < 7; p++) {
    const Profile *x = &c->model->profiles[p];
    if (kind >= 0 ? x->kind == kind : x->id == id) return x;
  }
  return NULL;
}
typedef struct { uint id, p2p, slices, instances, sms, copy, dec, enc, jpeg, ofa; ull mib; } InfoV1;
typedef struct { uint version, id, p2p, slices, instances, sms, copy, dec, enc, jpeg, ofa; ull mib; char name[96]; } InfoV2;
int nvmlDeviceGetGpuInstanceProfileInfo(Card *c, uint kind, InfoV1 *o) {
  ON_CARD(c);
  const Profile *p = profile_by(c, (int)kind, 0);
  if (!p || !c->mig) return NOT_SUPPORTED;
  *o = (InfoV1){.id = p->id, .slices = p->compute, .instances = p->kind == 7 ? 1 : p->n, .sms = p->sms, .mib = p->memory_mib};
  return OK;
}
int nvmlDeviceGetGpuInstanceProfileInfoV(Card *c, uint kind, InfoV2 *o) {
  InfoV1 v1;
  if (old_driver) return FUNCTION_NOT_FOUND;
  if (o->version != 0x02000098) return INVALID_ARGUMENT;
  int r = nvmlDeviceGetGpuInstanceProfileInfo(c, kind, &v1);
  if (r) return r;
  memset(o, 0, sizeof *o);
  o->id = v1.id, o->slices = v1.slices, o->instances = v1.instances, o->sms = v1.sms, o->mib = v1.mib;
  snprintf(o->name, sizeof o->name, "MIG %s", profile_by(c, (int)kind, 0)->name);
  return OK;
}
int nvmlDeviceGetGpuInstancePossiblePlacements_v2(Card *c, uint id, Place *out, uint *n) {
  ON_CARD(c);
  const Profile *p = profile_by(c, -1, id);
  if (!p) return INVALID_ARGUMENT;
  if (out && *n < p->n) return INSUFFICIENT_SIZE;
  for (uint k = 0; out && k < p->n; k++) out[k] = (Place){p->starts[k], p->size};
  *n = p->n;
  return OK;
}

static uint mask(uint start, uint size) { return ((1u << size) - 1) << start; }
static void name_it(Instance *i) {  /* a new UUID, of version 5's form, at every creation */
  Card *c = i->card;
  if (old_driver) snprintf(i->uuid, sizeof i->uuid, "MIG-%s/%u/0", c->uuid, i->id);
  else snprintf(i->uuid, sizeof i->uuid, "MIG-fa4e%04x-%04x-5000-8000-%012u", c->index, i->profile->id, c->made);
}
int nvmlDeviceCreateGpuInstanceWithPlacement(Card *c, uint id, const Place *at, void **out) {
  ON_CARD(c);
  const Profile *p = profile_by(c, -1, id);
  if (!c->mig) return NOT_SUPPORTED;
  int allowed = 0, free_slot = -1;
  for (uint k = 0; p && k < p->n; k++) allowed |= p->starts[k] == at->start;
  if (!allowed || at->size != p->size) return INVALID_ARGUMENT;
  for (int k = PLACES - 1; k >= 0; k--) {
    Instance *i = &c->instances[k];
    if (!i->used) free_slot = k;
    else if (mask(i->start, i->profile->size) & mask(at->start, p->size)) return INSUFFICIENT_RESOURCES;
    else if (p->kind == 7 && i->profile->kind == 7) return INSUFFICIENT_RESOURCES;
  }
  Instance *i = &c->instances[free_slot];
  *i = (Instance){.tag = MIG, .used = 1, .profile = p, .start = at->start, .card = c};
  i->id = old_driver ? 7 + at->start : 100 + ++c->made;
  name_it(i);
  *out = i;
  return OK;
}
int nvmlGpuInstanceDestroy(Instance *i) {
  ON_MIG(i);
  if (i->filled || i->npids) return IN_USE;
  memset(i, 0, sizeof *i);
  return OK;
}
int nvmlDeviceGetGpuInstances(Card *c, uint id, void **out, uint *n) {
  ON_CARD(c);
  *n = 0;
  for (int k = 0; k < PLACES; k++)
    if (c->instances[k].used && c->instances[k].profile->id == id) out[(*n)++] = &c->instances[k];
  return OK;
}
int nvmlDeviceGetGpuInstanceById(Card *c, uint id, void **out) {
  ON_CARD(c);
  for (int k = 0; k < PLACES; k++)
    if (c->instances[k].used && c->instances[k].id == id) { *out = &c->instances[k]; return OK; }
  return NOT_FOUND;
}
int nvmlGpuInstanceGetInfo(Instance *i, void *out) {
  struct { void *device; uint id, profile; Place place; } *o = out;
  ON_MIG(i);
  o->device = i->card, o->id = i->id, o->profile = i->profile->id;
  o->place = (Place){i->start, i->profile->size};
  return OK;
}

/* compute instances: kinds 0-4 are 1, 2, 3, 4, 7 slices; only the one that fills it is of use */
typedef struct { uint id, slices, instances, sms, copy, dec, enc, jpeg, ofa; } ComputeV1;
typedef struct { uint version, id, slices, instances, sms, copy, dec, enc, jpeg, ofa; char name[96]; } ComputeV2;
int nvmlGpuInstanceGetComputeInstanceProfileInfo(Instance *i, uint kind, uint engine, ComputeV1 *o) {
  static const uint slices[] = {1, 2, 3, 4, 7};
  ON_MIG(i);
  if (engine || kind >= 5 || slices[kind] > i->profile->compute) return NOT_SUPPORTED;
  *o = (ComputeV1){.id = kind, .slices = slices[kind], .instances = i->profile->compute / slices[kind]};
  return OK;
}
int nvmlGpuInstanceGetComputeInstanceProfileInfoV(Instance *i, uint kind, uint engine, ComputeV2 *o) {
  ComputeV1 v1;
  if (old_driver) return FUNCTION_NOT_FOUND;
  if (o->version != 0x02000088) return INVALID_ARGUMENT;
  int r = nvmlGpuInstanceGetComputeInstanceProfileInfo(i, kind, engine, &v1);
  if (r) return r;
  memset(o, 0, sizeof *o);
  o->id = v1.id, o->slices = v1.slices, o->instances = v1.instances;
  return OK;
}
int nvmlGpuInstanceCreateComputeInstance(Instance *i, uint id, void **out) {
  static const uint slices[] = {1, 2, 3, 4, 7};
  ON_MIG(i);
  if (i->filled || id > 4 || slices[id] != i->profile->compute) return INSUFFICIENT_RESOURCES;
  i->filled = 1;
  *out = i;
  return OK;
}
int nvmlGpuInstanceGetComputeInstances(Instance *i, uint id, void **out, uint *n) {
  static const uint slices[] = {1, 2, 3, 4, 7};
  ON_MIG(i);
  *n = i->filled && id <= 4 && slices[id] == i->profile->compute;
  if (*n) out[0] = i;
  return OK;
}
int nvmlComputeInstanceDestroy(Instance *i) {
  ON_MIG(i);
  if (i->npids) return IN_USE;
  i->filled = 0;
  return OK;
}
