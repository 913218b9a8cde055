/*
 * The page's texts as they are, byte for byte; the paths come from CMakeLists.txt beside this file. The licences of what
 * is embedded stand in a comment of the page. A script element holds exactly one file, whose hash is in the page's policy.
 */
        .section .rodata
        .hidden dm_page_head
        .hidden dm_page_head_end
        .hidden dm_page_tail
        .hidden dm_page_tail_end
        .global dm_page_head
        .global dm_page_head_end
        .global dm_page_tail
        .global dm_page_tail_end

dm_page_head:
        .incbin DM_PAGE_TOP
        .ascii "<style>\n"
        .incbin DM_PAGE_STYLE
        .ascii "</style>\n</head>\n"
        .incbin DM_PAGE_BODY
        .ascii "<script type=\"application/json\" id=\"document\">"
dm_page_head_end:

dm_page_tail:
        .ascii "</script>\n<!--\nApache ECharts, embedded below:\n"
        .incbin DM_PAGE_NOTICE
        .incbin DM_PAGE_LICENCE
        .ascii "\nd3.js, parts of it in ECharts:\n"
        .incbin DM_PAGE_LICENCE_D3
        .ascii "\nzrender, in ECharts:\n"
        .incbin DM_PAGE_LICENCE_ZRENDER
        .ascii "\ntslib, in ECharts:\n"
        .incbin DM_PAGE_LICENCE_TSLIB
        .ascii "-->\n"
#define SCRIPT(file) .ascii "<script>"; .incbin file; .ascii "</script>\n"
        SCRIPT(DM_PAGE_ECHARTS)
        SCRIPT(DM_PAGE_SCRIPT_1)
        SCRIPT(DM_PAGE_SCRIPT_2)
        SCRIPT(DM_PAGE_SCRIPT_3)
        SCRIPT(DM_PAGE_SCRIPT_4)
        SCRIPT(DM_PAGE_SCRIPT_5)
        SCRIPT(DM_PAGE_SCRIPT_6)
        SCRIPT(DM_PAGE_SCRIPT_7)
        .ascii "</body>\n</html>\n"
dm_page_tail_end:

        .section .note.GNU-stack,"",%progbits
