/*
 * server.c
 *	  A service for benchmarks: speaks the dialect kinderbridge, knows its
 *	  children by counting, keeps nothing, and answers after a set latency.
 *
 * Location L has the provider ID PL and the children K((L-1)*children+1) ...;
 * bench/data.sql makes Manage's side of them by the same count.  One thread,
 * so that it takes no more than one core; GET /count tells what it was asked.
 *
 * usage: server PORT-FILE LATENCY-MS LOCATIONS LOCATIONS-PER-ORGANIZATION CHILDREN-PER-LOCATION
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		room;
} Buffer;

typedef struct Request
{
	Buffer		body;
	Buffer		reply;
	struct MHD_Connection *connection;
	double		due;
	int			ready;
	struct Request *next;
} Request;

static double latency;
static long locations;
static long per_organization;
static long children;

static long requests;
static long records;
static double first;			/* request, in milliseconds since 1970 */

/* all wait equally long, so the first to wait is the first to be due */
static Request *waiting;
static Request **waiting_end = &waiting;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000.0 + t.tv_nsec / 1000000.0;
}

static void
make_room(Buffer *buffer, size_t more)
{
	if (buffer->length + more < buffer->room)
		return;
	buffer->room = (buffer->length + more) * 2 + 1024;
	buffer->data = realloc(buffer->data, buffer->room);
	if (buffer->data == NULL)
		abort();
}

static void
append(Buffer *buffer, const char *data, size_t length)
{
	make_room(buffer, length + 1);
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
}

static void __attribute__((format(printf, 2, 3)))
say(Buffer *buffer, const char *format, ...)
{
	va_list		arguments;

	make_room(buffer, 1024);
	va_start(arguments, format);
	buffer->length += vsnprintf(buffer->data + buffer->length, 1024, format, arguments);
	va_end(arguments);
}

/* The text after "key": and its quote, at or after a place; NULL = none */
static const char *
value_of(const char *place, const char *key)
{
	size_t		length = strlen(key);

	while (place != NULL && (place = strstr(place, key)) != NULL)
	{
		place += length;
		if (*place == '"')
		{
			place++;
			place += strspn(place, " :");
			if (*place == '"')
				return place + 1;
		}
	}
	return NULL;
}

static long
number_of(const char *body, const char *key, int prefix)
{
	const char *value = value_of(body, key);

	return value != NULL && strlen(value) > (size_t) prefix ? strtol(value + prefix, NULL, 10) : 0;
}

static void
say_locations(Buffer *reply, long customer)
{
	say(reply, "{\"locations\":[");
	for (long i = 1; i <= per_organization; i++)
	{
		long		location = (customer - 1) * per_organization + i;

		if (location > locations)
			break;
		say(reply, "%s{\"providerId\":\"P%ld\",\"agencyId\":\"TX-1\",\"customerId\":\"C%ld\",\"name\":\"Site %ld\","
			"\"address\":{\"line1\":\"%ld Main St\",\"city\":\"Houston\",\"state\":\"TX\",\"zip\":\"%05ld\"},\"status\":\"active\"}",
			i > 1 ? "," : "", location, customer, location, location, location % 100000);
	}
	say(reply, "],\"nextPage\":null}");
}

static void
say_children(Buffer *reply, long location)
{
	static const char *const first[] = {"Ana", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana"};

	say(reply, "{\"children\":[");
	for (long i = 1; i <= children; i++)
	{
		long		child = (location - 1) * children + i;
		char		last[16];
		struct tm	born = {.tm_year = 120,.tm_mday = 1 + child % 1500,.tm_isdst = -1};
		char		date[16];

		snprintf(last, sizeof(last), "%08ld", child % 100000000);
		for (char *digit = last; *digit; digit++)
			*digit += 'a' - '0';
		timegm(&born);
		strftime(date, sizeof(date), "%Y-%m-%d", &born);
		say(reply, "%s{\"childId\":\"K%ld\",\"firstName\":\"%s\",\"middleName\":null,\"lastName\":\"M%s\",\"suffix\":null,"
			"\"dateOfBirth\":\"%s\",\"subsidized\":true,\"authorizations\":[{\"authorizationId\":\"A%ld\",\"beginDate\":\"2020-01-01\","
			"\"endDate\":null,\"unitsOfCare\":\"full\",\"days\":[]}]}",
			i > 1 ? "," : "", child, first[child % 8], last, date, child);
	}
	say(reply, "],\"nextPage\":null}");
}

static void
say_results(Buffer *reply, const char *body)
{
	const char *batch = value_of(body, "\"batchId");
	const char *record = body;
	int			many = 0;

	say(reply, "{\"batchId\":\"%.*s\",\"results\":[", batch != NULL ? (int) strcspn(batch, "\"") : 0, batch);
	while ((record = value_of(record, "\"recordId")) != NULL)
	{
		say(reply, "%s{\"recordId\":\"%.*s\",\"status\":\"accepted\",\"code\":null,\"message\":null}",
			many++ ? "," : "", (int) strcspn(record, "\""), record);
		records++;
	}
	say(reply, "]}");
}

static void
answer(Request *request, const char *path)
{
	const char *body = request->body.data != NULL ? request->body.data : "";
	Buffer	   *reply = &request->reply;

	if (requests++ == 0)
	{
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		first = t.tv_sec * 1000.0 + t.tv_nsec / 1000000.0;
	}
	if (strcmp(path, "/oauth2/token") == 0)
		say(reply, "{\"access_token\":\"bench\",\"token_type\":\"Bearer\",\"expires_in\":86400}");
	else if (strcmp(path, "/v1/customers") == 0)
		say(reply, "{\"customers\":[{\"customerId\":\"C%ld\",\"name\":\"Organization %ld\",\"status\":\"active\"}],\"nextPage\":null}",
			number_of(body, "\"groupId", 2), number_of(body, "\"groupId", 2));
	else if (strcmp(path, "/v1/agencies") == 0)
		say(reply, "{\"agencies\":[{\"agencyId\":\"TX-1\",\"name\":\"Board\",\"state\":\"TX\",\"timeZone\":\"America/Chicago\"}],\"nextPage\":null}");
	else if (strcmp(path, "/v1/locations") == 0)
		say_locations(reply, number_of(body, "\"customerId", 1));
	else if (strcmp(path, "/v1/children") == 0)
		say_children(reply, number_of(body, "\"providerId", 1));
	else if (strcmp(path, "/v1/attendance") == 0)
		say_results(reply, body);
	else
	{
		requests--;
		say(reply, "{\"requests\":%ld,\"records\":%ld,\"first\":%.3f}", requests, records, first);
	}
}

static enum MHD_Result
handle(void *unused, struct MHD_Connection *connection, const char *path, const char *method,
	   const char *version, const char *data, size_t *length, void **state)
{
	Request    *request = *state;
	struct MHD_Response *response;
	enum MHD_Result result;

	if (request == NULL)
	{
		*state = request = calloc(1, sizeof(Request));
		if (request == NULL)
			abort();
		request->connection = connection;
		return MHD_YES;
	}
	if (*length > 0)
	{
		append(&request->body, data, *length);
		*length = 0;
		return MHD_YES;
	}
	if (!request->ready)
	{
		answer(request, path);
		request->ready = 1;
		if (latency > 0 && strcmp(method, "POST") == 0)
		{
			request->due = now() + latency;
			*waiting_end = request;
			waiting_end = &request->next;
			MHD_suspend_connection(connection);
			return MHD_YES;
		}
	}
	response = MHD_create_response_from_buffer(request->reply.length, request->reply.data, MHD_RESPMEM_MUST_FREE);
	request->reply.data = NULL;
	MHD_add_response_header(response, "Content-Type", "application/json");
	result = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return result;
}

static void
forget(void *unused, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	Request    *request = *state;

	if (request == NULL)
		return;
	free(request->body.data);
	free(request->reply.data);
	free(request);
	*state = NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct MHD_Daemon *daemon;
	struct epoll_event event = {.events = EPOLLIN};
	FILE	   *file;
	int			poll;

	if (argc != 6)
	{
		fputs("usage: server PORT-FILE LATENCY-MS LOCATIONS LOCATIONS-PER-ORGANIZATION CHILDREN-PER-LOCATION\n", stderr);
		return 2;
	}
	latency = atof(argv[2]);
	locations = atol(argv[3]);
	per_organization = atol(argv[4]);
	children = atol(argv[5]);

	daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, NULL,
							  MHD_OPTION_SOCK_ADDR, (struct sockaddr *) &address,
							  MHD_OPTION_NOTIFY_COMPLETED, forget, NULL,
							  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 1 << 17,
							  MHD_OPTION_END);
	if (daemon == NULL)
	{
		perror("server");
		return 1;
	}
	poll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(poll, EPOLL_CTL_ADD, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, &event);

	file = fopen(argv[1], "w");
	if (file == NULL)
	{
		perror(argv[1]);
		return 1;
	}
	fprintf(file, "%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	fclose(file);

	for (;;)
	{
		unsigned long long asked;
		int			wait = -1;

		if (waiting != NULL)
		{
			double		left = waiting->due - now();

			wait = left > 0 ? (int) left + 1 : 0;
		}
		if (MHD_get_timeout(daemon, &asked) == MHD_YES && (wait < 0 || asked < (unsigned long long) wait))
			wait = asked;
		if (epoll_wait(poll, &event, 1, wait) < 0 && errno != EINTR)
			return 1;
		while (waiting != NULL && waiting->due <= now())
		{
			Request    *request = waiting;

			waiting = request->next;
			if (waiting == NULL)
				waiting_end = &waiting;
			MHD_resume_connection(request->connection);
		}
		MHD_run(daemon);
	}
}
