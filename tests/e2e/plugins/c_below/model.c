/* Segments the Hounsfield units that a word of the finding stands for: docs/contract.md in C, without the SDK. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <strings.h>
#include <sys/stat.h>
#include <zlib.h>

static const struct { const char *word; double low, high; } RANGES[] = {
    {"emphysema", -1100, -950}, {"pneumothorax", -1100, -970}, {"ground", -750, -500}, {"effusion", 0, 40}, {"", -100, 200},
};
static char root[4000] = "/bench";

/* JSON: the end of a value, and the value of a key of an object. */
static const char *blank(const char *s) { return s + strspn(s, " \t\r\n"); }

static const char *skip(const char *s) {
    int deep = 0;
    s = blank(s);
    do {
        if (*s == '"') {
            for (s++; *s != '"'; s++) s += *s == '\\';
            s++;
        } else if (*s == '{' || *s == '[') deep++, s++;
        else if (*s == '}' || *s == ']') deep--, s++;
        else if (deep) s++;
        else s += strcspn(s, ",]} \t\r\n");
    } while (deep);
    return s;
}

static const char *member(const char *object, const char *key) {
    for (const char *s = blank(blank(object) + 1); *s == '"';) {
        const char *value = blank(blank(skip(s)) + 1);
        if (!strncmp(s + 1, key, strlen(key)) && s[1 + strlen(key)] == '"') return value;
        s = blank(skip(value));
        s = *s == ',' ? blank(s + 1) : s;
    }
    return NULL;
}

static char *text(const char *value) { return strndup(value + 1, skip(value) - value - 2); }

/* NIfTI: numbers in either byte order. */
static int swapped;

static double number(const unsigned char *at, int type) {
    static const int SIZE[] = {[2] = 1, [4] = 2, [8] = 4, [16] = 4, [64] = 8};
    int size = type == 256 ? 1 : type == 512 ? 2 : type == 768 ? 4 : type >= 1024 ? 8 : SIZE[type];
    union { unsigned char b[8]; int8_t i1; uint16_t u2; int16_t i2; int32_t i4; uint32_t u4; int64_t i8; uint64_t u8; float f4; double f8; } v;
    for (int i = 0; i < size; i++) v.b[i] = at[swapped ? size - 1 - i : i];
    switch (type) {
    case 2: return v.b[0];
    case 4: return v.i2;
    case 8: return v.i4;
    case 16: return v.f4;
    case 64: return v.f8;
    case 256: return v.i1;
    case 512: return v.u2;
    case 768: return v.u4;
    case 1024: return v.i8;
    default: return v.u8;
    }
}

static void put(unsigned char *at, const void *value, int size) {
    for (int i = 0; i < size; i++) at[i] = ((const unsigned char *)value)[swapped ? size - 1 - i : i];
}

static const char *predict(const char *one, const char *id) {
    char path[8000], part[8000], *ct = text(member(one, "ct"));
    snprintf(path, sizeof path, "%s/%s", root, ct);
    free(ct);
    const char *s = member(one, "shape") + 1;
    size_t voxels = 1;
    for (int axis = 0; axis < 3; axis++, s = blank(skip(s)) + 1) voxels *= strtoul(blank(s), NULL, 10);
    unsigned char head[544] = {0}, *mask = malloc(voxels), raw[8];
    double *hu = malloc(voxels * sizeof *hu);
    gzFile file = gzopen(path, "rb");
    if (!file || !mask || !hu || gzread(file, head, 4) != 4) return "the CT cannot be read";
    swapped = 0;
    double kind = number(head, 8);
    swapped = kind != 348 && kind != 540;
    int second = number(head, 8) == 540, bytes = second ? 540 : 348;
    if (gzread(file, head + 4, bytes - 4) != bytes - 4) return "the header ends too soon";
    int type = number(head + (second ? 12 : 70), 4), size = number(head + (second ? 14 : 72), 4) / 8;
    double begin = second ? number(head + 168, 1024) : number(head + 108, 16);
    double slope = second ? number(head + 176, 64) : number(head + 112, 16);
    double inter = second ? number(head + 184, 64) : number(head + 116, 16);
    if (slope == 0 || slope != slope) slope = 1, inter = 0;
    gzseek(file, (long)begin, SEEK_SET);
    for (size_t i = 0; i < voxels; i++) {
        if (gzread(file, raw, size) != size) return "the CT ends too soon";
        hu[i] = number(raw, type) * slope + inter;
    }
    gzclose(file);
    /* The mask has the CT's header, in its byte order: the same grid, 8-bit voxels, not scaled. */
    int16_t t = 2, b = 8;
    put(head + (second ? 12 : 70), &t, 2), put(head + (second ? 14 : 72), &b, 2);
    float f0 = 0, f1 = 1, f352 = 352;
    double d0 = 0, d1 = 1;
    int64_t i544 = 544;
    if (second) put(head + 168, &i544, 8), put(head + 176, &d1, 8), put(head + 184, &d0, 8);
    else put(head + 108, &f352, 4), put(head + 112, &f1, 4), put(head + 116, &f0, 4);
    memset(head + bytes, 0, 544 - bytes);
    snprintf(path, sizeof path, "%s/out/%s", root, id);
    mkdir(path, 0755);
    for (s = blank(member(one, "findings") + 1); *s == '{'; s = blank(skip(s)), s = *s == ',' ? blank(s + 1) : s) {
        char *name = text(member(s, "id")), *said = text(member(s, "text"));
        int range = 0;
        while (!strcasestr(said, RANGES[range].word)) range++;
        for (size_t i = 0; i < voxels; i++) mask[i] = hu[i] >= RANGES[range].low && hu[i] < RANGES[range].high;
        snprintf(part, sizeof part, "%s/out/%s/.%s", root, id, name);
        snprintf(path, sizeof path, "%s/out/%s/%s.nii.gz", root, id, name);
        gzFile out = gzopen(part, "wb1");
        gzwrite(out, head, bytes + 4);
        for (size_t i = 0, n; i < voxels; i += n) gzwrite(out, mask + i, n = voxels - i < 1 << 20 ? voxels - i : 1 << 20);
        if (gzclose(out) || rename(part, path)) return "the mask cannot be written";
        free(name), free(said);
    }
    free(mask), free(hu);
    return NULL;
}

int main(void) {
    if (getenv("BENCH_ROOT")) snprintf(root, sizeof root, "%s", getenv("BENCH_ROOT"));
    char path[4100], *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "%s/job.json", root);
    FILE *job = fopen(path, "r"), *cases, *events;
    if (!job || getdelim(&line, &room, 0, job) < 0) return 2;
    if (atoi(member(line, "contract")) != 1 || strncmp(member(line, "verb"), "\"predict\"", 9)) return 2;
    snprintf(path, sizeof path, "%s/cases.jsonl", root), cases = fopen(path, "r");
    snprintf(path, sizeof path, "%s/out/events.jsonl", root), events = fopen(path, "a");
    if (!cases || !events) return 2;
    while (getline(&line, &room, cases) > 0) {
        char *id = text(member(line, "id"));
        const char *fault = predict(line, id);
        fprintf(events, fault ? "{\"event\": \"case_failed\", \"case\": \"%s\", \"reason\": \"%s\"}\n" : "{\"event\": \"case_done\", \"case\": \"%s\"}\n", id, fault);
        fflush(events), free(id);
    }
    return 0;
}
