/*
 * wire.c
 *	  The limit of the wire: the requests of a night by libcurl alone, from one
 *	  thread over a pool of connections, replies thrown away.
 *
 * usage: wire URL children|submit|both LOCATIONS CHILDREN IN-FLIGHT [DATE]
 * prints requests and seconds
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Slot
{
	CURL	   *easy;
	char	   *body;
} Slot;

static const char *url;
static const char *date = "2026-01-02";
static long children;
static struct curl_slist *headers;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static size_t
discard(char *data, size_t size, size_t length, void *unused)
{
	(void) data;
	(void) unused;
	return size * length;
}

static size_t
write_submit(char *body, size_t room, long location)
{
	size_t		length;

	length = snprintf(body, room, "{\"group\":{\"groupId\":\"G-1\",\"groupPassword\":\"bench\"},\"agencyId\":\"TX-1\",\"providerId\":\"P%ld\","
					  "\"batchId\":\"00000000-0000-4000-8000-%012ld\",\"records\":[", location, location);
	for (long i = 1; i <= children; i++)
		length += snprintf(body + length, room - length, "%s{\"recordId\":\"00000000-0000-4000-8000-%012ld\",\"childId\":\"K%ld\",\"serviceDate\":\"%s\","
						   "\"sessions\":[{\"in\":\"08:02\",\"out\":\"16:31\"}]}", i > 1 ? "," : "",
						   (location - 1) * children + i, (location - 1) * children + i, date);
	return length + snprintf(body + length, room - length, "]}");
}

static void
begin(CURLM *multi, Slot *slot, int submit, long location, size_t room)
{
	char		address[256];
	size_t		length;

	if (submit)
		length = write_submit(slot->body, room, location);
	else
		length = snprintf(slot->body, room, "{\"group\":{\"groupId\":\"G-1\",\"groupPassword\":\"bench\"},\"agencyId\":\"TX-1\",\"providerId\":\"P%ld\",\"month\":\"%.7s\"}",
						  location, date);
	snprintf(address, sizeof(address), "%s/v1/%s", url, submit ? "attendance" : "children");
	curl_easy_setopt(slot->easy, CURLOPT_URL, address);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long) length);
	curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, discard);
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	curl_multi_add_handle(multi, slot->easy);
}

int
main(int argc, char **argv)
{
	CURLM	   *multi;
	Slot	   *slots;
	long		locations;
	long		in_flight;
	long		total;
	long		begun = 0;
	long		ended = 0;
	size_t		room;
	double		from;
	int			both;
	int			submits;

	if (argc < 6)
	{
		fputs("usage: wire URL children|submit|both LOCATIONS CHILDREN IN-FLIGHT [DATE]\n", stderr);
		return 2;
	}
	url = argv[1];
	both = strcmp(argv[2], "both") == 0;
	submits = strcmp(argv[2], "submit") == 0;
	locations = atol(argv[3]);
	children = atol(argv[4]);
	in_flight = atol(argv[5]);
	if (argc > 6)
		date = argv[6];
	total = both ? locations * 2 : locations;
	if (in_flight > total)
		in_flight = total;
	room = 1024 + children * 256;

	curl_global_init(CURL_GLOBAL_ALL);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Authorization: Bearer bench");
	headers = curl_slist_append(headers, "Expect:");
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, in_flight);
	slots = calloc(in_flight, sizeof(Slot));

	from = now();
	for (long i = 0; i < in_flight; i++, begun++)
	{
		slots[i].easy = curl_easy_init();
		slots[i].body = malloc(room);
		begin(multi, &slots[i], submits || begun >= locations, begun % locations + 1, room);
	}
	while (ended < total)
	{
		CURLMsg    *message;
		int			running;

		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &running)) != NULL)
		{
			Slot	   *slot;
			long		status = 0;

			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &slot);
			curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
			if (message->data.result != CURLE_OK || status != 200)
			{
				fprintf(stderr, "wire: %s, status %ld\n", curl_easy_strerror(message->data.result), status);
				return 1;
			}
			ended++;
			curl_multi_remove_handle(multi, slot->easy);
			if (begun < total)
			{
				begin(multi, slot, submits || begun >= locations, begun % locations + 1, room);
				begun++;
			}
		}
		if (ended < total)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	printf("%ld %.4f\n", total, now() - from);
	return 0;
}
